import { requestIdHeader } from "@opsbuddy/runtime/RequestContext"
import type { ServerWebSocket, WebSocketHandler } from "bun"
import { type Answer, Call } from "./Call.ts"
import { AttemptFailed, type Onward } from "./Exchange.ts"
import type { WebExchange, WebHead } from "./ForwardWeb.ts"
import type { Gateway } from "./Gateway.ts"
import type { Route } from "./Route.ts"
import type { MethodMismatch } from "./RouteTable.ts"
import type { Target } from "./Target.ts"
import { upstreamUrl } from "./UpstreamUrl.ts"

/** A message that came before the client's side was open. */
type Message = string | ArrayBuffer

/** A WebSocket of Bun's, which can be cut, where one of a browser can only be closed. */
interface Upstream extends WebSocket {
  terminate(): void
}

const isUpstream = (socket: WebSocket): socket is Upstream => "terminate" in socket

/** The two ends of one WebSocket. */
interface Pair {
  readonly upstream: Upstream
  /** What the upstream sent before the client's side was open. */
  readonly early: Array<Message>
  client: ServerWebSocket<Pair> | undefined
  /** Bytes to the client. */
  sent: number
  readonly ended: (sent: number, cause?: string, detail?: string) => void
}

/** What a slow end may have waiting before both are cut, in bytes: the other end cannot be slowed down. */
const backpressureLimit = 16 * 1024 * 1024

const tryAgainLater = 1013

/** Codes that stand for the lack of one and may not be sent (RFC 6455, section 7.4.1). */
const notSendable = new Set([1005, 1006, 1015])

const closeClient = (client: ServerWebSocket<Pair>, code: number, reason: string) => {
  if (code === 1006) client.terminate()
  else if (notSendable.has(code)) client.close()
  else client.close(code, reason)
}

/** An end that was told to close and does not is cut after this time, in milliseconds. */
const closeTimeout = 10_000

const closeUpstream = (upstream: Upstream, code: number, reason: string) => {
  if (code === 1006) return upstream.terminate()
  if (notSendable.has(code)) upstream.close()
  else upstream.close(code, reason)
  setTimeout(() => upstream.terminate(), closeTimeout).unref()
}

const deliver = (pair: Pair, message: Message) => {
  if (pair.client === undefined) return void pair.early.push(message)
  pair.sent += typeof message === "string" ? message.length : message.byteLength
  pair.client.send(message)
}

/** The clients' side of all WebSockets. */
export const handler: WebSocketHandler<Pair> = {
  backpressureLimit,
  closeOnBackpressureLimit: true,
  maxPayloadLength: backpressureLimit,
  idleTimeout: 0,
  perMessageDeflate: false,
  open: (client) => {
    const pair = client.data
    pair.client = client
    for (const message of pair.early.splice(0)) deliver(pair, message)
    if (pair.upstream.readyState >= WebSocket.CLOSING) client.close()
  },
  message: (client, message) => {
    const { upstream } = client.data
    upstream.send(message)
    if (upstream.bufferedAmount <= backpressureLimit) return
    upstream.terminate()
    client.close(tryAgainLater, "the upstream reads too slowly")
  },
  close: ({ data }, code, reason) => {
    closeUpstream(data.upstream, code, reason)
    data.ended(data.sent, undefined, `the client closed with ${code}`)
  }
}

/** The headers of the client's handshake that the upstream's gets; the others are the handshake's own. */
const handshake = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol"]

const protocolsOf = (headers: Headers) =>
  headers
    .get("sec-websocket-protocol")
    ?.split(",")
    .map((protocol) => protocol.trim()) ?? []

/** Opens the upstream's side, and ends when it is open. */
const connect = (exchange: WebExchange, protocols: ReadonlyArray<string>, target: Target, onward: Onward) =>
  new Promise<Upstream>((resolve, reject) => {
    const headers = exchange.prepare(onward)
    for (const name of handshake) delete headers[name]
    const url = target.id.replace(/^http/, "ws") + upstreamUrl(exchange.url, onward.route.config)
    const options: Bun.WebSocketOptions = { headers, protocols: [...protocols] }
    // Bun takes options where the types of browsers, which are here too, know protocols alone.
    const upstream = new WebSocket(url, options as unknown as Array<string>)
    if (!isUpstream(upstream)) return reject(new Error("not a WebSocket of Bun's"))
    upstream.binaryType = "arraybuffer"
    let what = ""
    upstream.onopen = () => resolve(upstream)
    upstream.onerror = (event) => {
      what = "message" in event ? String(event.message) : ""
    }
    upstream.onclose = () => {
      const refused = /ECONNREFUSED|Failed to connect/.test(what)
      const status = /Expected 101 status code: (\d+)/.exec(what)?.[1]
      if (refused) reject(new AttemptFailed("connect-failed", "connection refused"))
      else if (status !== undefined)
        reject(new AttemptFailed("upgrade-failed", `answered ${status} to the WebSocket handshake`))
      else reject(new AttemptFailed("upstream-reset", "connection broken in the WebSocket handshake"))
    }
  })

/** Takes a WebSocket to an upstream, under the policies of its route, and passes messages on until one side closes. */
export const forward = (
  gateway: Gateway["Service"],
  found: Route | MethodMismatch,
  exchange: WebExchange,
  server: Bun.Server<Pair>,
  respond: (call: Call<WebHead>, answer: Answer<WebHead>) => Response
) => {
  const protocols = protocolsOf(exchange.request.headers)
  let upstream: Upstream | undefined
  const opening = Object.create(exchange, {
    isWebSocket: { value: true },
    // What is made of an object does not reach its private members.
    header: { value: (name: string) => exchange.header(name) },
    watch: { value: (gone: () => void) => exchange.watch(gone) },
    abort: { value: () => upstream?.close() },
    discard: { value: () => upstream?.close() },
    send: {
      value: async (target: Target, onward: Onward): Promise<WebHead> => {
        upstream = await connect(exchange, protocols, target, onward)
        return {
          status: 101,
          bytes: undefined,
          isOpenEnded: true,
          retryAfterMillis: undefined,
          response: new Response(null),
          hopByHop: []
        }
      }
    }
  })
  return new Promise<Response | undefined>((resolve) => {
    const call: Call<WebHead> = new Call(gateway, found, opening, (answer) => {
      queueMicrotask(() => {
        if (answer._tag !== "Head" || upstream === undefined) return resolve(respond(call, answer))
        resolve(join(call, exchange, upstream, server))
      })
    })
  })
}

/** Opens the client's side; there is no response then, as Bun has sent it. */
const join = (call: Call<WebHead>, exchange: WebExchange, upstream: Upstream, server: Bun.Server<Pair>) => {
  const pair: Pair = {
    upstream,
    early: [],
    client: undefined,
    sent: 0,
    ended: (sent, cause, detail) => call.ended(sent, cause, detail)
  }
  upstream.onmessage = ({ data }) => deliver(pair, data)
  upstream.onclose = ({ code, reason }) => {
    if (pair.client !== undefined) closeClient(pair.client, code, reason)
    call.ended(pair.sent, code === 1006 ? "upstream-reset" : undefined, `the upstream closed with ${code}`)
  }
  const headers: Record<string, string> = { [requestIdHeader]: exchange.requestId }
  if (upstream.protocol !== "") headers["sec-websocket-protocol"] = upstream.protocol
  if (server.upgrade(exchange.request, { data: pair, headers })) return undefined
  upstream.close()
  call.ended(0, "client-closed", "the client left before its side was open")
  return new Response(null, { status: 400 })
}
