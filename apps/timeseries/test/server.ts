import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { layerPlatform, routes } from "@opsbuddy/runtime/App"
import { Readiness } from "@opsbuddy/runtime/Health"
import * as Server from "@opsbuddy/runtime/Server"
import { common } from "@opsbuddy/runtime/Settings"
import { load } from "@opsbuddy/runtime/Variables"
import { ConfigProvider, Context, Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { app } from "../src/App.ts"

/** Where the app under test is served. */
export class Address extends Context.Service<Address, string>()("@opsbuddy/timeseries/test/Address") {
  static readonly layer = Layer.effect(
    Address,
    Effect.gen(function* () {
      const dataDirectory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "timeseries-"))),
        (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
      )
      const provider = ConfigProvider.fromEnvRecord({ OPSBUDDY_DATA_DIRECTORY: dataDirectory, SERVICE_PORT: "0" })
      const settings = yield* load({ ...common(app.name), ...app.variables }).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, provider)
      )
      const http = yield* HttpRouter.toHttpEffect(routes(app, settings))
      const port = yield* Server.serve(http, { host: settings.host, port: settings.port, drainMillis: 1000 })
      return `http://127.0.0.1:${port}`
    })
  ).pipe(Layer.provide(Layer.merge(layerPlatform, Readiness.layer)))
}

interface Answer {
  readonly status: number
  readonly type: string | null
  readonly body: {
    readonly series?: ReadonlyArray<{
      readonly measurement: string
      readonly tags: Readonly<Record<string, string>>
      readonly columns: ReadonlyArray<string>
      readonly rows: ReadonlyArray<ReadonlyArray<unknown>>
    }>
    readonly [member: string]: unknown
  }
}

/** Asks the real server with the runtime's own client. */
export const request = Effect.fnUntraced(function* (path: string, init?: RequestInit) {
  const address = yield* Address
  return yield* Effect.promise(async (): Promise<Answer> => {
    const response = await fetch(`${address}${path}`, init)
    // Only tests read it, and they look at what they name.
    const body = (await response.json()) as Answer["body"]
    return { status: response.status, type: response.headers.get("content-type"), body }
  })
})

export const write = (lines: string, path = "/api/timeseries/write") =>
  request(path, { method: "POST", body: lines, headers: { "content-type": "text/plain" } })

export const post = (query: unknown) =>
  request("/api/timeseries/query", {
    method: "POST",
    body: JSON.stringify(query),
    headers: { "content-type": "application/json" }
  })

export const get = (parameters: ReadonlyArray<readonly [string, string]>) =>
  request(`/api/timeseries/query?${new URLSearchParams(parameters.map(([name, value]) => [name, value]))}`)
