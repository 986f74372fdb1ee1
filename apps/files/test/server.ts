import { createConnection } from "node:net"
import { join } from "node:path"
import { FileInfo } from "@opsbuddy/contract/Files"
import { layerPlatform, routes } from "@opsbuddy/runtime/App"
import { Readiness } from "@opsbuddy/runtime/Health"
import * as Server from "@opsbuddy/runtime/Server"
import { common } from "@opsbuddy/runtime/Settings"
import { load } from "@opsbuddy/runtime/Variables"
import { ConfigProvider, Context, Effect, Layer, Schema } from "effect"
import { HttpRouter } from "effect/http"
import { app } from "../src/App.ts"
import { temporaryFolder } from "./folders.ts"

/** The app under test, served on a free port over a store of its own. */
export class Served extends Context.Service<
  Served,
  { readonly address: string; readonly port: number; readonly directory: string }
>()("@opsbuddy/files/test/Served") {
  static readonly layer = (environment: Record<string, string> = {}) =>
    Layer.effect(
      Served,
      Effect.gen(function* () {
        const dataDirectory = yield* temporaryFolder
        const provider = ConfigProvider.fromEnvRecord({
          ...environment,
          OPSBUDDY_DATA_DIRECTORY: dataDirectory,
          SERVICE_PORT: "0"
        })
        const settings = yield* load({ ...common(app.name), ...app.variables }).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, provider)
        )
        const http = yield* HttpRouter.toHttpEffect(routes(app, settings))
        const { streamsLengths = false } = app
        const options = { host: settings.host, port: settings.port, drainMillis: 1000, streamsLengths }
        const port = yield* Server.serve(http, options)
        return { address: `http://127.0.0.1:${port}`, port, directory: join(dataDirectory, "files") }
      })
    ).pipe(Layer.provide(Layer.merge(layerPlatform, Readiness.layer)))
}

/** What the runtime's own client gets from the served app. */
export const ask = Effect.fnUntraced(function* (path: string, init?: RequestInit) {
  const { address } = yield* Served
  return yield* Effect.promise(async () => {
    const response = await fetch(`${address}${path}`, init)
    return { status: response.status, headers: response.headers, bytes: new Uint8Array(await response.arrayBuffer()) }
  })
})

/** The same for an answer in JSON. */
export const askJson = Effect.fnUntraced(function* (path: string, init?: RequestInit) {
  const { bytes, ...answer } = yield* ask(path, init)
  // Only tests read it, and they look at what they name.
  const body = JSON.parse(new TextDecoder().decode(bytes)) as Readonly<Record<string, unknown>>
  return { ...answer, body }
})

export const patch = (id: string, body: unknown) =>
  askJson(`/api/files/${id}/metadata`, {
    method: "PATCH",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" }
  })

const decodeInfos = Schema.decodeUnknownEffect(Schema.Array(Schema.toCodecJson(FileInfo)))

/** Uploads, and gives what was stored; a part is a name and a file or a text. */
export const upload = Effect.fnUntraced(function* (...parts: ReadonlyArray<readonly [string, string | File]>) {
  const { status, body } = yield* send(...parts)
  if (status !== 201) return yield* Effect.die(new Error(`answered ${status}: ${JSON.stringify(body)}`))
  return yield* Effect.orDie(decodeInfos(body.items))
})

export const send = (...parts: ReadonlyArray<readonly [string, string | File]>) => {
  const form = new FormData()
  for (const [name, value] of parts) form.append(name, value)
  return askJson("/api/files/upload", { method: "POST", body: form })
}

export const text = (name: string, content: string, type = "text/plain") => new File([content], name, { type })

/** All that is listed. */
export const listed = Effect.map(askJson("/api/files?limit=1000"), ({ body }) => body.items)

/** Writes the pieces to a new connection, one after the other, and gives all that comes back until it is closed. */
export const exchange = Effect.fnUntraced(function* (...pieces: ReadonlyArray<string | Uint8Array | "reset" | "end">) {
  const { port } = yield* Served
  return yield* Effect.callback<string>((resume) => {
    const socket = createConnection({ port, host: "127.0.0.1", allowHalfOpen: true })
    let received = ""
    socket.setEncoding("utf8").on("data", (data) => {
      received += data
    })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(received)))
    socket.on("end", () => socket.end())
    for (const piece of pieces) {
      if (piece === "reset") socket.write("", () => socket.resetAndDestroy())
      else if (piece === "end") socket.end()
      else socket.write(piece)
    }
    return Effect.sync(() => socket.destroy())
  })
})

/** The head of an upload whose parts are divided by `xyz`. */
export const head = (...headers: ReadonlyArray<string>) =>
  ["POST /api/files/upload HTTP/1.1", "Host: localhost", "Connection: close", ...headers, "", ""].join("\r\n")

export const multipart = "Content-Type: multipart/form-data; boundary=xyz"

/** A part with these headers, up to the boundary that ends it. */
export const part = (disposition: string, content: string, ...headers: ReadonlyArray<string>) =>
  [`--xyz`, `Content-Disposition: ${disposition}`, ...headers, "", content, ""].join("\r\n")

/** Sends a body with its true length, and gives the answer's status and problem. */
export const post = Effect.fnUntraced(function* (body: string | Uint8Array, type = multipart) {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body
  const received = yield* exchange(head(type, `Content-Length: ${bytes.length}`), bytes)
  const problem = JSON.parse(received.slice(received.indexOf("\r\n\r\n") + 4))
  return { status: Number(received.slice(9, 12)), ...problem }
})
