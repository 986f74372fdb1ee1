import { Effect, Layer } from "effect"
import { HttpPlatform, HttpServerResponse } from "effect/http"

const compression = HttpPlatform.makeCompressionWeb({
  algorithms: ["gzip", "deflate"],
  transform: HttpPlatform.compressionTransformWeb
})

/** Bun sends the file by itself, and keeps `Content-Length`, which it drops when the body is a stream. */
const bun = Layer.effect(
  HttpPlatform.HttpPlatform,
  HttpPlatform.make({
    platform: "bun",
    compression,
    fileResponse: (path, status, statusText, headers, start, end, contentLength) =>
      HttpServerResponse.raw(Bun.file(path).slice(start, end ?? start + Number(contentLength)), {
        headers: { ...headers, "content-length": String(contentLength) },
        status,
        statusText
      }),
    fileWebResponse: (file, status, statusText, headers) =>
      HttpServerResponse.raw(file, { headers, status, statusText })
  })
)

/** Loaded on Node alone: it would cost a part of each start on Bun. */
const node = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("@effect/platform-node/NodeHttpPlatform")),
    ({ layer }) => layer
  )
)

/** Files as answers: handed over to the runtime, never pumped through an Effect `Stream`. */
export const layer = typeof Bun === "undefined" ? node : bun
