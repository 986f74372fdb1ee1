import { fileURLToPath } from "node:url"
import { type ServiceName, serviceNames } from "@opsbuddy/contract/Wire"
import { commandLine } from "@opsbuddy/runtime/Process"
import { Context } from "effect"

/** A program and its arguments, run without a shell. */
export type CommandLine = readonly [program: string, ...args: ReadonlyArray<string>]

/**
 * How each app is started: with the runtime that runs this program, from the `main.ts` of the app beside it. A test
 * provides other programs.
 */
export class Programs extends Context.Reference<(name: ServiceName) => CommandLine>("@opsbuddy/cli/Programs", {
  defaultValue: () => (name) => commandLine(fileURLToPath(new URL(`../../${name}/src/main.ts`, import.meta.url)))
}) {}

/** Whether a word is the name of one of the five. */
export const isServiceName = (word: string): word is ServiceName => serviceNames.some((name) => name === word)
