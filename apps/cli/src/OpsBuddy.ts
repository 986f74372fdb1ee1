import * as NodeServices from "@effect/platform-node/NodeServices"
import { defaultPorts } from "@opsbuddy/contract/Wire"
import * as Environment from "@opsbuddy/runtime/Environment"
import { InvalidEnvironment } from "@opsbuddy/runtime/Variables"
import { Cause, Console, Effect, Exit, Layer, type Runtime } from "effect"
import { CliConfig, CliError, Command, Flag, GlobalFlag } from "effect/cli"
import { FetchHttpClient } from "effect/http"
import manifest from "../package.json" with { type: "json" }
import * as Check from "./Check.ts"
import * as Files from "./Files.ts"
import { asRefusal } from "./Refusals.ts"
import * as Up from "./Up.ts"
import * as Variables from "./Variables.ts"

const status = Command.make(
  "status",
  {
    url: Flag.String("url").pipe(
      Flag.withDescription("Where the gateway is"),
      Flag.withDefault(`http://127.0.0.1:${defaultPorts.gateway}`)
    )
  },
  Effect.fnUntraced(function* ({ url }) {
    // Loaded when it is asked for: the whole contract would cost `up` a part of its start.
    const Status = yield* Effect.promise(() => import("./Status.ts"))
    yield* Effect.flatMap(Status.table(url), Console.log)
  }, Effect.provide(FetchHttpClient.layer))
).pipe(Command.withDescription("Print how the running system is, as the gateway tells it"))

const command = Command.make("opsbuddy").pipe(
  Command.withDescription("Starts and looks after OpsBuddy: gateway, files, utility, analytics and time series"),
  Command.withSubcommands([Up.command, Variables.command, status, Check.command, Files.command])
)

/** `EX_USAGE` and `EX_CONFIG` of sysexits.h. */
const exitUsage = 64
const exitInvalidEnvironment = 78

/** A cause as the user sees it: the message to print, if it is not printed yet, and the exit code. */
const verdict = (cause: Cause.Cause<unknown>): { readonly message?: string; readonly exitCode: number } => {
  if (Cause.hasInterruptsOnly(cause)) return { exitCode: 0 }
  const error = Cause.squash(cause)
  if (CliError.isCliError(error))
    return { exitCode: error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : exitUsage }
  if (error instanceof InvalidEnvironment) return { message: error.message, exitCode: exitInvalidEnvironment }
  return asRefusal(error) ?? { message: Cause.pretty(cause), exitCode: 1 }
}

/** The program `opsbuddy` with the arguments of this process. Says on standard error what stopped it. */
export const program = Command.run(command, { version: manifest.version }).pipe(
  Effect.tapCause((cause) => {
    const { message } = verdict(cause)
    return message === undefined ? Effect.void : Console.error(`opsbuddy: ${message}`)
  }),
  Effect.provide(
    Layer.mergeAll(
      Environment.layer(`${import.meta.dirname}/..`),
      // Not `--log-level`: that is the variable LOG_LEVEL, for this program and for what it starts alike.
      CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
    ).pipe(Layer.provideMerge(NodeServices.layer))
  )
)

/**
 * 0 after a stop that was asked for, 64 for a wrong command line, 78 for an environment that is not valid, 130 after a
 * second Ctrl-C, 1 for anything else.
 */
export const teardown: Runtime.Teardown = (exit, onExit) =>
  onExit(Exit.isSuccess(exit) ? 0 : verdict(exit.cause).exitCode)
