import type { IncomingMessage, ServerResponse } from "node:http"
import type { Pool } from "@effect/platform-node/Undici"
import { requestIdFrom, requestIdHeader } from "@opsbuddy/runtime/RequestContext"
import type { Front } from "@opsbuddy/runtime/Server"
import { Context, Effect, Exit, type Scope } from "effect"
import { ClientAbort } from "effect/http/HttpServerError"
import { type Exchange, Forward, type Head } from "./Forward.ts"
import * as Headers from "./Headers.ts"
import { AttemptFailed, render } from "./Refusal.ts"
import type { Target } from "./Upstream.ts"

const connectErrors = new Set(["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"])

const failed = (cause: unknown) => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "failed"
  if (!connectErrors.has(code))
    return new AttemptFailed({ reason: "upstream-reset", what: `connection broken (${code})` })
  return new AttemptFailed({
    reason: "connect-failed",
    what: code === "ECONNREFUSED" ? "connection refused" : `connect failed (${code})`
  })
}

const length = (value: string | undefined) => (value === undefined ? undefined : Number(value))

const one = (value: string | ReadonlyArray<string> | undefined) => (typeof value === "string" ? value : value?.[0])

const upstreamHeaders = (request: IncomingMessage, requestId: string) => {
  const headers = Headers.withoutHopByHop(request.headers)
  for (const name of Headers.replaced) delete headers[name]
  return Object.assign(headers, Headers.forwarded(request.socket.remoteAddress, request.headers.host), {
    [requestIdHeader]: requestId
  })
}

const hasBody = (request: IncomingMessage) =>
  request.headers["transfer-encoding"] !== undefined || (length(request.headers["content-length"]) ?? 0) > 0

/** Ends with the head; the body goes on from the pool's socket into the response. A body that breaks off cuts the client. */
const send = (
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  pool: (origin: string) => Pool
) => {
  const headers = upstreamHeaders(request, requestId)
  return (target: Target) =>
    Effect.callback<Head, AttemptFailed>((resume) => {
      const abort = new AbortController()
      let headed = false
      pool(target.url)
        .stream(
          {
            method: request.method ?? "GET",
            path: request.url ?? "/",
            headers,
            body: hasBody(request) ? request : null,
            signal: abort.signal,
            headersTimeout: 0,
            bodyTimeout: 0
          },
          ({ headers, statusCode }) => {
            headed = true
            response.writeHead(statusCode, { ...Headers.withoutHopByHop(headers), [requestIdHeader]: requestId })
            // Otherwise the head waits for the body's first byte, which a stream of events may be long in sending.
            response.flushHeaders()
            response.once("close", () => abort.abort())
            resume(Effect.succeed({ status: statusCode, bytes: length(one(headers["content-length"])) }))
            return response
          }
        )
        .catch((cause: unknown) => {
          if (headed) response.destroy()
          else resume(failed(cause))
        })
      return Effect.sync(() => abort.abort())
    })
}

/** Requests on connections that are kept open, a pool for each target. */
const pools: Effect.Effect<(origin: string) => Pool, never, Scope.Scope> = Effect.gen(function* () {
  const undici = yield* Effect.promise(() => import("@effect/platform-node/Undici"))
  const byOrigin = new Map<string, Pool>()
  yield* Effect.addFinalizer(() =>
    Effect.promise(() => Promise.all([...byOrigin.values()].map((pool) => pool.destroy())))
  )
  return (origin) => {
    const existing = byOrigin.get(origin)
    if (existing !== undefined) return existing
    const pool = new undici.Pool(origin, { connections: 256, pipelining: 1 })
    byOrigin.set(origin, pool)
    return pool
  }
})

/** The path and query of a request target, which a client may write as a whole URL (RFC 9112, section 3.2.2). */
const originForm = (target: string) =>
  target.startsWith("/") ? target : target.replace(/^[a-z]+:\/\/[^/?#]*/i, "") || "/"

/** The data path on Node: bodies are handed over by undici, from socket to socket. */
export const make: Effect.Effect<Front["node"], never, Forward | Scope.Scope> = Effect.gen(function* () {
  const context = yield* Effect.context<Forward>()
  const { forward, route } = Context.get(context, Forward)
  // biome-ignore lint/plugin: the data path: a request comes from the server, outside of any fiber
  const run = Effect.runForkWith(context)
  const pool = yield* pools
  return (request, response) => {
    const url = originForm(request.url ?? "/")
    request.url = url
    const query = url.indexOf("?")
    const path = query === -1 ? url : url.slice(0, query)
    const matched = route(path)
    if (matched === undefined) return false
    const requestId = requestIdFrom(one(request.headers[requestIdHeader]))
    const exchange: Exchange<Head> = {
      requestId,
      method: request.method ?? "GET",
      url,
      path,
      client: request.socket.remoteAddress,
      traceparent: one(request.headers.traceparent),
      upgrade: Headers.isUpgrade(request.headers.upgrade),
      hasBody: hasBody(request),
      requestBytes: length(request.headers["content-length"]),
      attempt: send(request, response, requestId, pool)
    }
    const fiber = run(forward(matched, exchange))
    response.once("close", () => fiber.interruptUnsafe(undefined, ClientAbort.annotation))
    fiber.addObserver((exit) => {
      const failure = Exit.findErrorOption(exit)
      if (Exit.isSuccess(exit) || failure._tag === "None" || response.headersSent) return
      const { body, headers, status } = render(failure.value, requestId, path)
      response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) }).end(body)
    })
    return true
  }
})
