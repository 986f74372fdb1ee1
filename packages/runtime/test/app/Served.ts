import { layerPlatform, routes, type Settings } from "@opsbuddy/runtime/App"
import { Readiness } from "@opsbuddy/runtime/Health"
import * as Logging from "@opsbuddy/runtime/Logging"
import * as Server from "@opsbuddy/runtime/Server"
import { common } from "@opsbuddy/runtime/Settings"
import { load } from "@opsbuddy/runtime/Variables"
import { ConfigProvider, Context, Effect, Layer, type Ref } from "effect"
import { HttpRouter } from "effect/http"
import { Controls, make } from "./App.ts"
import { Lines } from "./Lines.ts"

/** The test app, listening, with its log and its controls. */
export class Served extends Context.Service<
  Served,
  {
    readonly port: number
    readonly url: string
    readonly lines: Lines
    readonly controls: Controls["Service"]
    readonly readiness: Ref.Ref<boolean>
  }
>()("@opsbuddy/runtime/test/Served") {
  static readonly make = Effect.fnUntraced(function* (lines: Lines, drainMillis: number) {
    const settings = yield* settingsOf({ SERVICE_PORT: "0" })
    const controls = yield* Controls
    const readiness = yield* Readiness
    const http = yield* HttpRouter.toHttpEffect(routes(make(Layer.succeed(Controls, controls)), settings))
    const port = yield* Server.serve(http, { host: "127.0.0.1", port: settings.port, drainMillis })
    return Served.of({ port, url: `http://127.0.0.1:${port}`, lines, controls, readiness })
  })

  static readonly layer = (drainMillis = 1000) =>
    Layer.unwrap(
      Effect.sync(() => {
        const lines = new Lines()
        return Layer.effect(Served, Served.make(lines, drainMillis)).pipe(
          Layer.provide([
            layerPlatform,
            Controls.layer,
            Logging.layer({ service: "utility", level: "Info", format: "json", stream: lines })
          ])
        )
      })
    )
}

/** The common settings as the environment makes them. */
export const settingsOf = (environment: Record<string, string>): Effect.Effect<Settings<Record<never, never>>> =>
  load(common("utility")).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment)),
    Effect.orDie
  )
