import { requestIdFrom, requestIdHeader } from "@opsbuddy/runtime/RequestContext"
import { idleSeconds, type WebFront } from "@opsbuddy/runtime/Server"
import { Effect } from "effect"
import * as Body from "./BodyWeb.ts"
import { type Answer, Call } from "./Call.ts"
import * as Cors from "./Cors.ts"
import { AttemptFailed, type Exchange, type Head, type Onward } from "./Exchange.ts"
import { Gateway } from "./Gateway.ts"
import type { HeaderChanges } from "./GatewayConfig.ts"
import * as Headers from "./Headers.ts"
import * as Own from "./Own.ts"
import { render } from "./Refusal.ts"
import { retryAfterMillis } from "./RetryAfter.ts"
import * as Route from "./Route.ts"
import type * as RouteTable from "./RouteTable.ts"
import * as SecurityHeaders from "./SecurityHeaders.ts"
import type { Target } from "./Target.ts"
import * as TrustedProxies from "./TrustedProxies.ts"
import { upstreamUrl } from "./UpstreamUrl.ts"
import * as WebSocketWeb from "./WebSocketWeb.ts"

/** An upstream's answer whose body is still on its way. */
export interface WebHead extends Head {
  readonly response: Response
  readonly hopByHop: ReadonlyArray<string>
}

/** Bun's `fetch` beside what the standard has: the body stays compressed, as the upstream sent it, and no time limit is its own. */
interface HandOver extends RequestInit {
  readonly decompress: false
  readonly duplex: "half"
  readonly timeout: false
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
  if (cause instanceof AttemptFailed) return cause
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "failed"
  if (!connectErrors.has(code)) return new AttemptFailed("upstream-reset", `connection broken (${code})`)
  const refused = code === "ConnectionRefused" || code === "ECONNREFUSED"
  return new AttemptFailed("connect-failed", refused ? "connection refused" : `connect failed (${code})`)
}

const change = (headers: globalThis.Headers, { remove, set }: HeaderChanges) => {
  for (const name of remove) headers.delete(name)
  for (const [name, value] of set) headers.set(name, value)
}

/** Headers by name in lower case. */
type Fields = Record<string, string>

/** All headers in one go, because each question to a native `Headers` costs. */
const fieldsOf = (headers: globalThis.Headers): Readonly<Fields> => {
  const fields: Fields = Object.create(null)
  headers.forEach((value, name) => {
    fields[name] = value
  })
  return fields
}

/** One request of Bun's server. */
export class WebExchange implements Exchange<WebHead> {
  readonly request: Request
  readonly requestId: Exchange<WebHead>["requestId"]
  readonly method: string
  readonly url: string
  readonly path: string
  readonly host: string
  readonly client: string | undefined
  readonly traceparent: string | undefined
  readonly hasBody: boolean
  readonly requestBytes: number | undefined
  readonly isWebSocket = false
  readonly ambiguity: string | undefined
  readonly #fields: Readonly<Fields>
  readonly #peer: string | undefined
  readonly #isTrusted: boolean
  #controller: AbortController | undefined
  #signal: AbortSignal | undefined
  #counted: ReturnType<typeof Body.bounded> | undefined

  constructor(
    request: Request,
    fields: Readonly<Fields>,
    url: string,
    peer: string | undefined,
    gateway: Gateway["Service"]
  ) {
    const { isTrusted } = gateway.running()
    const query = url.indexOf("?")
    const trusted = isTrusted(peer)
    const { "content-length": length, host = "" } = fields
    this.request = request
    this.#fields = fields
    this.url = url
    this.path = query === -1 ? url : url.slice(0, query)
    this.method = request.method
    this.requestId = requestIdFrom(fields[requestIdHeader])
    this.host = host
    this.client = trusted ? TrustedProxies.clientOf(peer, fields["x-forwarded-for"], isTrusted) : peer
    this.#peer = peer
    this.#isTrusted = trusted
    this.traceparent = fields.traceparent
    this.hasBody = request.body !== null
    this.requestBytes = length === undefined ? undefined : Number(length)
    // Bun joins repeated headers.
    this.ambiguity = host.includes(",") ? "the request has several Host headers" : undefined
  }

  header(name: string) {
    return this.#fields[name]
  }

  /** The client's headers as the upstream gets them. */
  prepare(onward: Onward): Fields {
    const headers = Headers.withoutHopByHop(this.#fields)
    const { host, requestId } = this
    const header = (name: string) => headers[name]
    Headers.forUpstream(headers, { header, host, isTrusted: this.#isTrusted, peer: this.#peer }, requestId, onward)
    return headers
  }

  async send(target: Target, onward: Onward): Promise<WebHead> {
    const { maxBody } = onward.route.config
    const controller = new AbortController()
    this.#controller = controller
    const { body } = this.request
    // Once: the next attempt may send what the first could not.
    if (body !== null && maxBody !== undefined && this.requestBytes === undefined) {
      this.#counted ??= Body.bounded(body, maxBody)
    }
    const counted = this.#counted
    const init: HandOver = {
      method: this.method,
      headers: this.prepare(onward),
      body: counted?.body ?? body,
      redirect: "manual",
      decompress: false,
      duplex: "half",
      timeout: false,
      signal: controller.signal
    }
    try {
      const response = await fetch(target.id + upstreamUrl(this.url, onward.route.config), init)
      const { contentLength, contentType, hopByHop, retryAfter } = Headers.inspect(response.headers)
      return {
        status: response.status,
        bytes: contentLength === undefined ? undefined : Number(contentLength),
        isOpenEnded: Headers.isEventStream(contentType),
        retryAfterMillis: retryAfterMillis(retryAfter),
        response,
        hopByHop
      }
    } catch (cause) {
      if (counted?.isExceeded() === true) throw new AttemptFailed("body-too-large", "the body is too large")
      throw failed(cause)
    }
  }

  watch(gone: () => void) {
    // Kept, because Bun's garbage collector takes a signal that nobody holds, and what listens to it with it.
    this.#signal = this.request.signal
    if (this.#signal.aborted) gone()
    else this.#signal.addEventListener("abort", gone, { once: true })
  }

  abort() {
    this.#controller?.abort()
  }

  discard({ response }: WebHead) {
    response.body?.cancel().catch(() => {})
  }
}

/** Path and query: Bun gives a whole URL, or these alone where the client names no host, or none that can be. */
const originForm = (url: string) => (url.startsWith("/") ? url : url.slice(url.indexOf("/", 8)))

/** The answer as Bun sends it. An upstream's is the same object with other headers, so that its body is never touched. */
const respond = (call: Call<WebHead>, exchange: WebExchange, route: Route.Route, answer: Answer<WebHead>) => {
  if (answer._tag === "Gone") return new Response(null, { status: 499 })
  if (answer._tag === "Refusal") {
    const { body, headers, status } = render(answer.refusal, exchange.requestId, exchange.path)
    return withHeaders(new Response(body, { status, headers }), call)
  }
  if (answer._tag === "Local") {
    const response = new Response(null, { status: answer.status })
    for (const [name, value] of answer.headers) response.headers.set(name, value)
    response.headers.set(requestIdHeader, exchange.requestId)
    return withHeaders(response, call)
  }
  const { hopByHop, response } = answer.head
  const { headers } = response
  for (const name of hopByHop) headers.delete(name)
  headers.set(requestIdHeader, exchange.requestId)
  headers.append("server-timing", Headers.serverTiming(call.account.durationMillis, call.account.upstreamMillis()))
  if (route.config.cors !== undefined) for (const name of Cors.replaced) headers.delete(name)
  change(headers, route.config.responseHeaders)
  withHeaders(response, call)
  return Body.watched(response, answer.head.bytes, {
    idleMillis: route.timeouts.idle,
    ended: (bytes, cause, detail) => call.ended(bytes, cause, detail),
    abort: () => exchange.abort()
  })
}

const withHeaders = (response: Response, call: Call<WebHead>) => {
  for (const [name, value] of call.headers) {
    if (name === "vary") response.headers.append(name, value)
    else if (!SecurityHeaders.isOne(name) || !response.headers.has(name)) response.headers.set(name, value)
  }
  return response
}

/**
 * Whether a route may wait for an answer longer than Bun leaves a connection on which nothing happens. Not for uploads, which
 * would then have no end where they stall.
 */
const waitsLong = ({ hasBody }: WebExchange, route: Route.Route | RouteTable.MethodMismatch) =>
  !hasBody && "timeouts" in route && route.timeouts.attempt > (idleSeconds - 5) * 1000

/** The data path on Bun: Web requests in, Web responses out, bodies handed over by `fetch`. */
export const make: Effect.Effect<WebFront, never, Gateway> = Effect.gen(function* () {
  const gateway = yield* Gateway
  return {
    websocket: WebSocketWeb.handler,
    fetch: (request, server) => {
      const url = originForm(request.url)
      const query = url.indexOf("?")
      const path = query === -1 ? url : url.slice(0, query)
      const fields = fieldsOf(request.headers)
      const { host = "", upgrade } = fields
      const header = (name: string) => fields[name]
      const found = gateway.running().table.find({ host, path, method: request.method, header })
      if (Own.takes(path, found)) return undefined
      const route = found ?? Route.none
      const exchange = new WebExchange(request, fields, url, server.requestIP(request)?.address, gateway)
      if (upgrade?.toLowerCase() === "websocket") {
        return WebSocketWeb.forward(gateway, route, exchange, server, (call, answer) =>
          respond(call, exchange, call.route, answer)
        )
      }
      const isPatient = waitsLong(exchange, route)
      if (isPatient) server.timeout(request, 0)
      return new Promise((resolve) => {
        const call: Call<WebHead> = new Call(gateway, route, exchange, (answer) => {
          // The constructor may answer before `call` is there.
          queueMicrotask(() => {
            if (isPatient) server.timeout(request, idleSeconds)
            resolve(respond(call, exchange, call.route, answer))
          })
        })
      })
    }
  }
})
