import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { type ServiceName, serviceNames } from "@opsbuddy/contract/Wire"
import { commandLine } from "@opsbuddy/runtime/Process"
import { Context } from "effect"

/** A program and its arguments, run without a shell. */
export type CommandLine = readonly [program: string, ...args: ReadonlyArray<string>]

const apps = fileURLToPath(new URL("../..", import.meta.url))

/** Where a program is in the folder of its app: built by `scripts/build.ts`, or as its sources. As this one was started. */
const main = basename(dirname(process.argv[1] ?? "")) === "dist" ? "dist/main.js" : "src/main.ts"

/** How each app is started: with the runtime that runs this program, and as this program was. A test provides others. */
export class Programs extends Context.Reference<(name: ServiceName) => CommandLine>("@opsbuddy/cli/Programs", {
  defaultValue: () => (name) => commandLine(join(apps, name, main))
}) {}

/** Whether a word is the name of one of the five. */
export const isServiceName = (word: string): word is ServiceName => serviceNames.some((name) => name === word)
