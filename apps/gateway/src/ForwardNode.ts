import type { IncomingMessage, ServerResponse } from "node:http"
import type { Dispatcher, Pool } from "@effect/platform-node/Undici"
import { requestIdFrom, requestIdHeader } from "@opsbuddy/runtime/RequestContext"
import type { NodeFront } from "@opsbuddy/runtime/Server"
import { Effect, type Scope } from "effect"
import { type Answer, Call } from "./Call.ts"
import * as Cors from "./Cors.ts"
import { AttemptFailed, type Exchange, type Head, type Onward } from "./Exchange.ts"
import { Gateway } from "./Gateway.ts"
import * as Headers from "./Headers.ts"
import * as Own from "./Own.ts"
import { render } from "./Refusal.ts"
import { retryAfterMillis } from "./RetryAfter.ts"
import * as Route from "./Route.ts"
import * as SecurityHeaders from "./SecurityHeaders.ts"
import type { Target } from "./Target.ts"
import * as TrustedProxies from "./TrustedProxies.ts"
import { upstreamUrl } from "./UpstreamUrl.ts"
import * as WebSocketNode from "./WebSocketNode.ts"

type NodeHeaders = Record<string, string | Array<string>>

/** Where an answer's body goes, once it is known that it is passed on. */
export interface Sink {
  /** Answers whether more may come at once. */
  readonly write: (chunk: Buffer, more: () => void) => boolean
  readonly end: () => void
  readonly broken: (error: Error) => void
}

/** An upstream's answer whose body waits until it has a sink. */
export interface NodeHead extends Head {
  readonly headers: NodeHeaders
  readonly controller: Dispatcher.DispatchController
  readonly into: (sink: Sink) => void
}

const connectErrors = new Set(["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"])

export const failed = (cause: unknown) => {
  if (cause instanceof AttemptFailed) return cause
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "failed"
  if (!connectErrors.has(code)) return new AttemptFailed("upstream-reset", `connection broken (${code})`)
  return new AttemptFailed(
    "connect-failed",
    code === "ECONNREFUSED" ? "connection refused" : `connect failed (${code})`
  )
}

const length = (value: string | undefined) => (value === undefined ? undefined : Number(value))

const one = (value: string | ReadonlyArray<string> | undefined) => (typeof value === "string" ? value : value?.[0])

const hasBody = (request: IncomingMessage) =>
  request.headers["transfer-encoding"] !== undefined || (length(request.headers["content-length"]) ?? 0) > 0

/** Node keeps the first of several `Host`s and says nothing; the list of what came tells. */
const ambiguity = ({ headers, rawHeaders }: IncomingMessage) => {
  let hosts = headers.host?.includes(",") === true ? 2 : 0
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === "host") hosts++
  return hosts > 1 ? "the request has several Host headers" : undefined
}

/** One request of Node's server. */
export class NodeExchange implements Exchange<NodeHead> {
  readonly request: IncomingMessage
  readonly requestId: Exchange<NodeHead>["requestId"]
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
  readonly #peer: string | undefined
  readonly #isTrusted: boolean
  readonly #pool: (origin: string) => Pool
  #controller: Dispatcher.DispatchController | undefined
  #isAborted = false

  constructor(request: IncomingMessage, url: string, gateway: Gateway["Service"], pool: (origin: string) => Pool) {
    const { isTrusted } = gateway.running()
    const peer = request.socket.remoteAddress
    const query = url.indexOf("?")
    this.request = request
    this.url = url
    this.path = query === -1 ? url : url.slice(0, query)
    this.method = request.method ?? "GET"
    this.requestId = requestIdFrom(one(request.headers[requestIdHeader]))
    this.host = request.headers.host ?? ""
    const trusted = isTrusted(peer)
    const header = (name: string) => this.header(name)
    this.client = trusted ? TrustedProxies.clientOf(peer, header("x-forwarded-for"), isTrusted) : peer
    this.#peer = peer
    this.#isTrusted = trusted
    this.traceparent = header("traceparent")
    this.hasBody = hasBody(request)
    this.requestBytes = length(request.headers["content-length"])
    this.ambiguity = ambiguity(request)
    this.#pool = pool
  }

  header(name: string) {
    const value = this.request.headers[name]
    return typeof value === "string" ? value : value?.join(", ")
  }

  prepare(onward: Onward): NodeHeaders {
    const headers = Headers.withoutHopByHop(this.request.headers)
    const { host, requestId } = this
    const header = (name: string) => this.header(name)
    Headers.forUpstream(headers, { header, host, isTrusted: this.#isTrusted, peer: this.#peer }, requestId, onward)
    return headers
  }

  /** The request's body, which fails after `maxBody` bytes. Not destroyed with an attempt: the next one may send it. */
  #body(onward: Onward, exceeded: () => void) {
    if (!this.hasBody) return null
    const { maxBody } = onward.route.config
    if (maxBody === undefined || this.requestBytes !== undefined) return this.request
    let seen = 0
    this.request.on("data", (chunk: Buffer) => {
      seen += chunk.length
      if (seen > maxBody) exceeded()
    })
    this.request.pause()
    return this.request
  }

  send(target: Target, onward: Onward, upgrade?: WebSocketNode.Upgraded): Promise<NodeHead> {
    return new Promise((resolve, reject) => {
      let sink: Sink | undefined
      let hasEnded = false
      let isHeaded = false
      const exceeded = () => {
        reject(new AttemptFailed("body-too-large", "the body is too large"))
        this.abort()
      }
      this.#pool(target.id).dispatch(
        {
          method: this.method,
          path: upstreamUrl(this.url, onward.route.config),
          headers: this.prepare(onward),
          body: this.#body(onward, exceeded),
          headersTimeout: 0,
          bodyTimeout: onward.route.timeouts.idle,
          upgrade: upgrade === undefined ? null : "websocket"
        },
        {
          onRequestStart: (controller) => {
            this.#controller = controller
            if (this.#isAborted) controller.abort(new Error("the attempt was given up"))
          },
          onRequestUpgrade: (controller, status, headers, socket) => {
            upgrade?.(socket)
            resolve(this.#head(controller, status, headers, () => {}))
          },
          onResponseStart: (controller, status, headers) => {
            if (status < 200) return
            if (upgrade !== undefined) {
              reject(new AttemptFailed("upgrade-failed", `answered ${status} to the WebSocket handshake`))
              return controller.abort(new Error("not upgraded"))
            }
            isHeaded = true
            controller.pause()
            resolve(
              this.#head(controller, status, headers, (given) => {
                sink = given
                if (hasEnded) given.end()
                else controller.resume()
              })
            )
          },
          onResponseData: (controller, chunk) => {
            if (sink?.write(chunk, () => controller.resume()) === false) controller.pause()
          },
          onResponseEnd: () => {
            // An answer to HEAD has no body that could be paused: its end comes together with its head.
            hasEnded = true
            sink?.end()
          },
          onResponseError: (_, error) => {
            if (isHeaded) sink?.broken(error)
            else reject(failed(error))
          }
        }
      )
    })
  }

  #head(
    controller: Dispatcher.DispatchController,
    status: number,
    received: Readonly<Record<string, string | Array<string> | undefined>>,
    into: NodeHead["into"]
  ): NodeHead {
    const headers = Headers.withoutHopByHop(received)
    return {
      status,
      headers,
      controller,
      into,
      bytes: length(one(headers["content-length"])),
      isOpenEnded: status === 101 || Headers.isEventStream(one(headers["content-type"])),
      retryAfterMillis: retryAfterMillis(one(headers["retry-after"]))
    }
  }

  /** Node tells by the response or the socket, for nothing. */
  watch() {}

  abort() {
    this.#isAborted = true
    this.#controller?.abort(new Error("the attempt was given up"))
    this.#controller = undefined
    this.#isAborted = false
  }

  discard({ controller }: NodeHead) {
    controller.abort(new Error("the answer is not passed on"))
  }
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
    // As many connections as there are requests: their number is the concurrency policy's to bound.
    const pool = new undici.Pool(origin, { connections: null, pipelining: 1 })
    byOrigin.set(origin, pool)
    return pool
  }
})

/** The path and query of a request target, which a client may write as a whole URL (RFC 9112, section 3.2.2). */
const originForm = (target: string) =>
  target.startsWith("/") ? target : target.replace(/^[a-z]+:\/\/[^/?#]*/i, "") || "/"

/** What every answer gets: the call's headers, and `vary` beside what is there. */
const withCallHeaders = (headers: NodeHeaders, call: Call<NodeHead>) => {
  for (const [name, value] of call.headers) {
    const before = headers[name]
    if (before !== undefined && SecurityHeaders.isOne(name)) continue
    headers[name] = name === "vary" && before !== undefined ? `${[before].flat().join(", ")}, ${value}` : value
  }
  return headers
}

/** The head of the gateway's own answer; its body with it. */
export const local = (
  call: Call<NodeHead>,
  exchange: NodeExchange,
  answer: Extract<Answer<NodeHead>, { _tag: "Local" | "Refusal" }>
) => {
  if (answer._tag === "Refusal") {
    const { body, headers, status } = render(answer.refusal, exchange.requestId, exchange.path)
    return { status, body, headers: withCallHeaders({ ...headers }, call) }
  }
  const headers: NodeHeaders = { ...Object.fromEntries(answer.headers), [requestIdHeader]: exchange.requestId }
  return { status: answer.status, body: "", headers: withCallHeaders(headers, call) }
}

export const upstreamHeaders = (call: Call<NodeHead>, exchange: NodeExchange, head: NodeHead): NodeHeaders => {
  const timing = Headers.serverTiming(call.account.durationMillis, call.account.upstreamMillis())
  const before = head.headers["server-timing"]
  const headers: NodeHeaders = {
    ...head.headers,
    [requestIdHeader]: exchange.requestId,
    "server-timing": before === undefined ? timing : `${[before].flat().join(", ")}, ${timing}`
  }
  if (call.route.config.cors !== undefined) for (const name of Cors.replaced) delete headers[name]
  Headers.change(headers, call.route.config.responseHeaders)
  return withCallHeaders(headers, call)
}

const respond = (call: Call<NodeHead>, exchange: NodeExchange, answer: Answer<NodeHead>, response: ServerResponse) => {
  if (answer._tag === "Gone") return
  if (answer._tag !== "Head") {
    const { body, headers, status } = local(call, exchange, answer)
    const length = status === 204 || status === 304 ? {} : { "content-length": String(Buffer.byteLength(body)) }
    return void response.writeHead(status, { ...headers, ...length }).end(body)
  }
  const { head } = answer
  response.writeHead(head.status, upstreamHeaders(call, exchange, head))
  // Otherwise the head waits for the body's first byte, which a stream of events may be long in sending. `flushHeaders` would
  // write its bytes over 127 as UTF-8, though they are bytes already.
  response.write("", "latin1")
  let seen = 0
  head.into({
    write: (chunk, more) => {
      seen += chunk.length
      if (response.write(chunk)) return true
      response.once("drain", more)
      return false
    },
    end: () => {
      response.end()
      call.ended(seen)
    },
    broken: (error) => {
      const isIdle = "code" in error && error.code === "UND_ERR_BODY_TIMEOUT"
      call.ended(
        seen,
        isIdle ? "upstream-timeout" : "upstream-reset",
        isIdle
          ? `no byte for ${call.route.timeouts.idle} ms after ${seen} bytes of the body`
          : `the connection broke after ${seen} bytes of the body`
      )
      response.destroy()
    }
  })
  response.once("close", () => {
    if (response.writableFinished) return
    call.ended(seen, "client-closed", `the client left after ${seen} bytes of the body`)
    head.controller.abort(new Error("the client left"))
  })
}

/** The data path on Node: bodies are handed over by undici, from socket to socket. */
export const make: Effect.Effect<NodeFront, never, Gateway | Scope.Scope> = Effect.gen(function* () {
  const gateway = yield* Gateway
  const pool = yield* pools
  /** Whether the gateway has a route for the request, or nothing at all of its own. */
  const find = (request: IncomingMessage) => {
    const url = originForm(request.url ?? "/")
    request.url = url
    const query = url.indexOf("?")
    const path = query === -1 ? url : url.slice(0, query)
    const header = (name: string) => {
      const value = request.headers[name]
      return typeof value === "string" ? value : value?.join(", ")
    }
    const { host = "" } = request.headers
    const found = gateway.running().table.find({ host, path, method: request.method ?? "GET", header })
    return Own.takes(path, found) ? undefined : { url, route: found ?? Route.none }
  }
  return {
    request: (request, response) => {
      const found = find(request)
      if (found === undefined) return false
      const exchange = new NodeExchange(request, found.url, gateway, pool)
      const call: Call<NodeHead> = new Call(gateway, found.route, exchange, (answer) => {
        // The constructor may answer before `call` is there.
        queueMicrotask(() => respond(call, exchange, answer, response))
      })
      response.once("close", () => call.clientGone())
      return true
    },
    upgrade: (request, socket, head) => {
      const found = find(request) ?? { url: request.url ?? "/", route: Route.none }
      WebSocketNode.forward(gateway, found.route, new NodeExchange(request, found.url, gateway, pool), socket, head)
    }
  }
})
