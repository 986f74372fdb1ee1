import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Console, Effect, Exit, Layer } from "effect"
import type { HttpApiGroup } from "effect/http-api"
import { type App, layerPlatform, type Platform, run, type Settings } from "./App.ts"
import * as Environment from "./Environment.ts"
import * as Logging from "./Logging.ts"
import { common } from "./Settings.ts"
import { list, load, type Variables } from "./Variables.ts"

/** An error that says all there is to say, and how the program ends: such as an environment that is not valid. */
interface Final extends Error {
  readonly exitCode: number
}

const isFinal = (error: unknown): error is Final =>
  error instanceof Error && "exitCode" in error && typeof error.exitCode === "number"

/** Set by the supervisor, which holds the other end of standard input: its end means that the supervisor is gone. */
const supervised = "OPSBUDDY_SUPERVISED"

/** Ends when standard input does, so that a killed supervisor leaves nothing running. */
const supervisorGone = Effect.callback<void>((resume) => {
  process.stdin.once("end", () => resume(Effect.void))
  process.stdin.once("error", () => resume(Effect.void))
  process.stdin.resume()
})

const serve = Effect.fnUntraced(function* <
  Id extends string,
  Groups extends HttpApiGroup.Constraint,
  V extends Variables,
  E
>(app: App<Id, Groups, V, E>) {
  const settings: Settings<V> = yield* load({ ...common(app.name), ...app.variables })
  const level = settings.debug && settings.logLevel !== "Trace" ? "Debug" : settings.logLevel
  yield* run(app, settings).pipe(
    Effect.tapCause((cause) =>
      Cause.hasInterruptsOnly(cause) || isFinal(Cause.squash(cause)) ? Effect.void : Effect.logFatal("failed", cause)
    ),
    Effect.provide(Logging.layer({ service: app.name, level, format: settings.logFormat }))
  )
})

const explain = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  return isFinal(error) ? Console.error(error.message) : Effect.void
}

const exitCode = (exit: Exit.Exit<unknown, unknown>) => {
  if (Exit.isSuccess(exit)) return typeof exit.value === "number" ? exit.value : 0
  if (Cause.hasInterruptsOnly(exit.cause)) return 0
  const error = Cause.squash(exit.cause)
  return isFinal(error) ? error.exitCode : 1
}

/** What a program can do in place of serving: by its first argument, with those after it. Each gives the exit code. */
export type Commands<V extends Variables> = Readonly<
  Record<string, (args: ReadonlyArray<string>, settings: Settings<V>) => Effect.Effect<number, never, Platform>>
>

/**
 * Runs an app as the program of this process: `main.ts` calls it and does nothing else. With the argument `env` it prints
 * the app's variables as JSON instead, for `opsbuddy env`; with the name of a command it runs that. SIGTERM and SIGINT
 * drain and exit 0; an error with an `exitCode` of its own, such as the 78 of an environment that is not valid, exits with
 * that and its message alone; anything else that ends the start exits 1.
 */
export const launch = <Id extends string, Groups extends HttpApiGroup.Constraint, V extends Variables, E>(
  app: App<Id, Groups, V, E>,
  appFolder: string,
  commands: Commands<V> = {}
) => {
  const variables = { ...common(app.name), ...app.variables }
  const [name = "", ...args] = process.argv.slice(2)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  const program =
    name === "env"
      ? Effect.flatMap(list(variables), (listed) => Console.log(JSON.stringify(listed)))
      : command !== undefined
        ? Effect.flatMap(load(variables), (settings: Settings<V>) => command(args, settings))
        : process.env[supervised] === "1"
          ? Effect.raceFirst(serve(app), supervisorGone)
          : serve(app)
  program.pipe(
    Effect.tapCause(explain),
    Effect.provide(Environment.layer(appFolder).pipe(Layer.provideMerge(layerPlatform))),
    NodeRuntime.runMain({ disableErrorReporting: true, teardown: (exit, onExit) => onExit(exitCode(exit)) })
  )
}
