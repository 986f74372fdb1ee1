import type { ConfigMistake } from "@opsbuddy/contract/Gateway"
import { Cause, Context, Effect, FileSystem, Layer, Option, Queue, Result, Schedule } from "effect"
import type { ConfigDocument } from "./config/ConfigDocument.ts"
import * as ConfigFile from "./config/ConfigFile.ts"
import { Gateway, type Trigger } from "./Gateway.ts"

/** Where the configuration comes from. */
export interface Source {
  /** `undefined` where there is none, so that what is built in is all. */
  readonly file: string | undefined
  readonly builtIn: ConfigDocument
}

/** Reads the configuration; what is built in, where there is no file. */
export const load = ({ builtIn, file }: Source) =>
  file === undefined
    ? Effect.fromResult(ConfigFile.decode({ file: "(built-in)", text: "{}" }, builtIn)).pipe(
        Effect.mapError((mistakes) => new ConfigFile.InvalidConfig({ mistakes }))
      )
    : ConfigFile.load(file, builtIn)

/** How often it is looked whether the file has changed. Editors replace files, so the path is asked and not the file watched. */
const interval = "500 millis"

/** Reads the file again and exchanges the running configuration, or leaves that as it is and notes what is wrong. */
export class Reload extends Context.Service<
  Reload,
  {
    readonly file: string | undefined
    readonly reload: (trigger: Trigger) => Effect.Effect<void, ConfigFile.InvalidConfig>
  }
>()("@opsbuddy/gateway/Reload") {
  /** Reloads when the process gets SIGHUP and when the file changes, until the scope closes. */
  static readonly layer = (source: Source) => Layer.effect(Reload, make(source))
}

const make = Effect.fnUntraced(function* (source: Source) {
  const gateway = yield* Gateway
  const fs = yield* FileSystem.FileSystem
  const { file } = source

  const reload = Effect.fn("Reload.reload")(function* (trigger: Trigger) {
    const result = yield* Effect.result(Effect.provideService(load(source), FileSystem.FileSystem, fs))
    if (Result.isSuccess(result)) return yield* gateway.apply(result.success, trigger)
    const mistakes: ReadonlyArray<ConfigMistake> = result.failure.mistakes
    yield* gateway.reject(mistakes, trigger)
    return yield* result.failure
  })

  const quietly = (trigger: Trigger) =>
    reload(trigger).pipe(
      // What is wrong with the file is noted; anything else must not end what waits for the next change.
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause) || Option.isSome(Cause.findErrorOption(cause))
          ? Effect.void
          : Effect.logError("reload failed", cause)
      )
    )

  const signals = yield* Queue.sliding<void>(1)
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const onSignal = () => Queue.offerUnsafe(signals, undefined)
      process.on("SIGHUP", onSignal)
      return onSignal
    }),
    (onSignal) => Effect.sync(() => process.off("SIGHUP", onSignal))
  )
  yield* Queue.take(signals).pipe(Effect.andThen(quietly("signal")), Effect.forever, Effect.forkScoped)

  if (file !== undefined) {
    const look = Effect.orElseSucceed(
      Effect.map(
        fs.stat(file),
        ({ ino, mtime, size }) => `${Option.getOrUndefined(ino)} ${size} ${Number(Option.getOrUndefined(mtime))}`
      ),
      () => "absent"
    )
    let last = yield* look
    const check = Effect.flatMap(look, (now) => {
      if (now === last) return Effect.void
      last = now
      // A file that is gone is most likely being replaced.
      return now === "absent" ? Effect.void : quietly("file-change")
    })
    yield* Effect.forkScoped(Effect.repeat(Effect.delay(check, interval), Schedule.forever))
  }
  return Reload.of({ file, reload })
})
