import { layerPlatform, routes } from "@opsbuddy/runtime/App"
import { Readiness } from "@opsbuddy/runtime/Health"
import * as Server from "@opsbuddy/runtime/Server"
import { common } from "@opsbuddy/runtime/Settings"
import { load } from "@opsbuddy/runtime/Variables"
import { ConfigProvider, Context, Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { app } from "../src/App.ts"
import { temporaryFolder } from "./stores.ts"

/** Where the app under test is served, on a store of its own. */
export class Address extends Context.Service<Address, string>()("@opsbuddy/analytics/test/Address") {
  static readonly layer = Layer.effect(
    Address,
    Effect.gen(function* () {
      const provider = ConfigProvider.fromEnvRecord({
        OPSBUDDY_DATA_DIRECTORY: yield* temporaryFolder,
        SERVICE_PORT: "0"
      })
      const settings = yield* load({ ...common(app.name), ...app.variables }).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, provider)
      )
      const http = yield* HttpRouter.toHttpEffect(routes(app, settings))
      const port = yield* Server.serve(http, { host: settings.host, port: settings.port, drainMillis: 1000 })
      return `http://127.0.0.1:${port}`
    })
  ).pipe(Layer.provide(Layer.merge(layerPlatform, Readiness.layer)))
}

export interface Answer {
  readonly status: number
  readonly body: {
    readonly items?: ReadonlyArray<Readonly<Record<string, unknown>>>
    readonly errors?: ReadonlyArray<{ readonly path: ReadonlyArray<string | number>; readonly message: string }>
    readonly nextCursor?: string
    readonly [member: string]: unknown
  }
}

/** Asks the server at `address` with the runtime's own client. */
export const ask = (address: string, path: string, init?: RequestInit) =>
  Effect.promise(async (): Promise<Answer> => {
    const response = await fetch(`${address}${path}`, init)
    // Only tests read it, and they look at what they name.
    const body = (await response.json()) as Answer["body"]
    return { status: response.status, body }
  })

/** Asks the app under test. */
export const get = Effect.fnUntraced(function* (path: string, parameters: Record<string, string> = {}) {
  return yield* ask(yield* Address, `${path}?${new URLSearchParams(parameters)}`)
})

/** Posts to the app under test. */
export const send = Effect.fnUntraced(function* (path: string, type: string, body: BodyInit) {
  return yield* ask(yield* Address, path, { method: "POST", body, headers: { "content-type": type } })
})
