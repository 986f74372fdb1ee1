import { requestIdFrom, requestIdHeader } from "@opsbuddy/runtime/RequestContext"
import type { Front } from "@opsbuddy/runtime/Server"
import { Context, Effect, Exit } from "effect"
import { ClientAbort } from "effect/http/HttpServerError"
import { type Exchange, Forward, type Head } from "./Forward.ts"
import * as Headers from "./Headers.ts"
import { AttemptFailed, render } from "./Refusal.ts"
import type { Target } from "./Upstream.ts"

/** An upstream's answer whose body is still on its way. */
interface WebHead extends Head {
  readonly response: Response
}

/** Bun's `fetch` beside what the standard has: the body stays compressed, as the upstream sent it. */
interface HandOver extends RequestInit {
  readonly decompress: false
  readonly duplex: "half"
}

/** The names that Bun gives to a connection that could not be made. */
const connectErrors = new Set([
  "ConnectionRefused",
  "FailedToOpenSocket",
  "ECONNREFUSED",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "ENETUNREACH"
])

const failed = (cause: unknown) => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "failed"
  if (!connectErrors.has(code))
    return new AttemptFailed({ reason: "upstream-reset", what: `connection broken (${code})` })
  const refused = code === "ConnectionRefused" || code === "ECONNREFUSED"
  return new AttemptFailed({
    reason: "connect-failed",
    what: refused ? "connection refused" : `connect failed (${code})`
  })
}

const length = (headers: globalThis.Headers) => {
  const value = headers.get("content-length")
  return value === null ? undefined : Number(value)
}

const upstreamHeaders = (request: Request, requestId: string, client: string | undefined) => {
  const headers = new globalThis.Headers(request.headers)
  Headers.removeHopByHop(headers)
  const host = headers.get("host")
  for (const name of Headers.replaced) if (headers.has(name)) headers.delete(name)
  for (const [name, value] of Object.entries(Headers.forwarded(client, host ?? undefined))) headers.set(name, value)
  headers.set(requestIdHeader, requestId)
  return headers
}

const send = (request: Request, headers: globalThis.Headers, url: string) => (target: Target) =>
  Effect.tryPromise({
    try: async (signal): Promise<WebHead> => {
      const init: HandOver = {
        method: request.method,
        headers,
        body: request.body,
        redirect: "manual",
        decompress: false,
        duplex: "half",
        signal
      }
      const response = await fetch(target.url + url, init)
      return { status: response.status, bytes: length(response.headers), response }
    },
    catch: failed
  })

/** Makes the upstream's response the client's: the same object with fewer headers, so that its body is never touched. */
const answer = (response: Response, requestId: string) => {
  Headers.removeHopByHop(response.headers)
  response.headers.set(requestIdHeader, requestId)
  return response
}

const exchange = (request: Request, url: string, path: string, client: string | undefined): Exchange<WebHead> => {
  const requestId = requestIdFrom(request.headers.get(requestIdHeader))
  return {
    requestId,
    method: request.method,
    url,
    path,
    client,
    traceparent: request.headers.get("traceparent") ?? undefined,
    upgrade: Headers.isUpgrade(request.headers.get("upgrade")),
    hasBody: request.body !== null,
    requestBytes: length(request.headers),
    attempt: send(request, upstreamHeaders(request, requestId, client), url)
  }
}

/** Path and query: Bun gives a whole URL, or these alone where the client names no host, or none that can be. */
const originForm = (url: string) => (url.startsWith("/") ? url : url.slice(url.indexOf("/", 8)))

const gone = new Response(null, { status: 499 })

/** The data path on Bun: Web requests in, Web responses out, bodies handed over by `fetch`. */
export const make: Effect.Effect<Front["web"], never, Forward> = Effect.gen(function* () {
  const context = yield* Effect.context<Forward>()
  const { forward, route } = Context.get(context, Forward)
  // biome-ignore lint/plugin: the data path: a request comes from the server, outside of any fiber
  const run = Effect.runForkWith(context)
  return (request, peer) => {
    const url = originForm(request.url)
    const query = url.indexOf("?")
    const path = query === -1 ? url : url.slice(0, query)
    const matched = route(path)
    if (matched === undefined) return undefined
    const it = exchange(request, url, path, peer())
    const fiber = run(forward(matched, it))
    const abort = () => fiber.interruptUnsafe(undefined, ClientAbort.annotation)
    request.signal.addEventListener("abort", abort, { once: true })
    return new Promise((resolve) => {
      fiber.addObserver((exit) => {
        request.signal.removeEventListener("abort", abort)
        if (Exit.isSuccess(exit)) return resolve(answer(exit.value.response, it.requestId))
        const failure = Exit.findErrorOption(exit)
        if (failure._tag === "None") return resolve(gone)
        const { body, headers, status } = render(failure.value, it.requestId, path)
        resolve(new Response(body, { status, headers }))
      })
    })
  }
})
