import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Console, Effect, Exit, Layer } from "effect"
import type { HttpApiGroup } from "effect/http-api"
import { type App, layerPlatform, run, type Settings } from "./App.ts"
import * as Environment from "./Environment.ts"
import * as Logging from "./Logging.ts"
import { common } from "./Settings.ts"
import { InvalidEnvironment, list, load, type Variables } from "./Variables.ts"

/** `EX_CONFIG` of sysexits.h: the environment is not valid. */
const exitInvalidEnvironment = 78

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
    Effect.tapCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logFatal("failed", cause))),
    Effect.provide(Logging.layer({ service: app.name, level, format: settings.logFormat }))
  )
})

const explain = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  return error instanceof InvalidEnvironment ? Console.error(error.message) : Effect.void
}

const exitCode = (exit: Exit.Exit<unknown, unknown>) => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return 0
  return Cause.squash(exit.cause) instanceof InvalidEnvironment ? exitInvalidEnvironment : 1
}

/**
 * Runs an app as the program of this process: `main.ts` calls it and does nothing else. With the argument `env` it prints
 * the app's variables as JSON instead, for `opsbuddy env`. SIGTERM and SIGINT drain and exit 0; an environment that is
 * not valid exits 78 with one message that lists all that is wrong; anything else that ends the start exits 1.
 */
export const launch = <Id extends string, Groups extends HttpApiGroup.Constraint, V extends Variables, E>(
  app: App<Id, Groups, V, E>,
  appFolder: string
) => {
  const variables = { ...common(app.name), ...app.variables }
  const program =
    process.argv[2] === "env"
      ? Effect.flatMap(list(variables), (listed) => Console.log(JSON.stringify(listed)))
      : process.env[supervised] === "1"
        ? Effect.raceFirst(serve(app), supervisorGone)
        : serve(app)
  program.pipe(
    Effect.tapCause(explain),
    Effect.provide(Environment.layer(appFolder).pipe(Layer.provideMerge(layerPlatform))),
    NodeRuntime.runMain({ disableErrorReporting: true, teardown: (exit, onExit) => onExit(exitCode(exit)) })
  )
}
