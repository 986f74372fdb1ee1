import { requestIdFrom } from "@opsbuddy/runtime/RequestContext"
import type { Attempt } from "./Account.ts"
import { type Answer, Call } from "./Call.ts"
import type { ClientConnection, Responder } from "./ClientConnection.ts"
import * as Cors from "./Cors.ts"
import { AttemptFailed, type Attempts, type Exchange, idempotent, type Onward } from "./Exchange.ts"
import type { Gateway } from "./Gateway.ts"
import * as Headers from "./Headers.ts"
import * as Fields from "./http1/Fields.ts"
import type { RequestHead } from "./http1/RequestHead.ts"
import type { ResponseHead } from "./http1/ResponseHead.ts"
import type { Socket } from "./net/Socket.ts"
import { render } from "./Refusal.ts"
import * as RequestBody from "./RequestBody.ts"
import { retryAfterMillis } from "./RetryAfter.ts"
import type * as Route from "./Route.ts"
import type * as RouteTable from "./RouteTable.ts"
import * as SecurityHeaders from "./SecurityHeaders.ts"
import * as TrustedProxies from "./TrustedProxies.ts"
import * as Tunnel from "./Tunnel.ts"
import type { Requester, UpstreamConnection } from "./UpstreamConnection.ts"
import type { UpstreamPool, UpstreamPools, Waiter } from "./UpstreamPool.ts"
import { upstreamUrl } from "./UpstreamUrl.ts"

/** The system's names for a connection that could not be made, with what they mean. */
const connectFailure = (code: string) => (code === "ECONNREFUSED" ? "connection refused" : `connect failed (${code})`)

/** One request that goes to an upstream: what its policies see of it, and the way of its bytes. */
export class ForwardedRequest implements Exchange, Responder, Requester, RequestBody.BodySink {
  readonly requestId: Exchange["requestId"]
  readonly method: string
  readonly url: string
  readonly path: string
  readonly host: string
  readonly client: string | undefined
  readonly traceparent: string | undefined
  readonly hasBody: boolean
  readonly requestBytes: number | undefined
  readonly upgrade: string | undefined
  readonly ambiguity: string | undefined
  idleMillis = 0
  readonly #connection: ClientConnection
  readonly #head: RequestHead
  readonly #body: RequestBody.RequestBody
  readonly #pools: UpstreamPools
  readonly #isTrusted: boolean
  readonly #call: Call
  #attempt: Attempt | undefined
  #attempts: Attempts | undefined
  #onward: Onward | undefined
  #waiter: Waiter | undefined
  #upstream: UpstreamConnection | undefined
  /** Some of the body has gone to an upstream. */
  #isBodySent = false
  #answer: ResponseHead | undefined
  /** The upstream's side of a connection that has another protocol now. */
  #tunnel: { readonly socket: Socket; readonly early: Buffer } | undefined
  #isPassedOn = false
  #received = 0

  constructor(
    gateway: Gateway["Service"],
    route: Route.Route | RouteTable.MethodMismatch,
    pools: UpstreamPools,
    connection: ClientConnection,
    head: RequestHead,
    path: string,
    body: RequestBody.RequestBody
  ) {
    const { isTrusted } = gateway.running()
    const { peer } = connection
    const trusted = isTrusted(peer)
    this.#connection = connection
    this.#head = head
    this.#body = body
    this.#pools = pools
    this.#isTrusted = trusted
    this.requestId = requestIdFrom(head.requestId)
    this.method = head.method
    this.url = head.url
    this.path = path
    this.host = head.host
    this.client = trusted ? TrustedProxies.clientOf(peer, this.header("x-forwarded-for"), isTrusted) : peer
    this.traceparent = head.traceparent
    this.hasBody = head.length !== 0
    this.requestBytes = typeof head.length === "number" ? head.length : undefined
    this.upgrade = this.hasBody ? undefined : head.upgrade
    this.ambiguity = head.ambiguity
    this.#call = new Call(gateway, route, this, (answer) => this.#respond(answer))
    this.#call.start(route)
  }

  header(name: string) {
    return Fields.find(this.#head.lines, name)
  }

  // The exchange: what the policies ask for.

  send(attempt: Attempt, onward: Onward, attempts: Attempts) {
    this.#attempt = attempt
    this.#attempts = attempts
    this.#onward = onward
    this.idleMillis = onward.route.timeouts.idle
    const pool = this.#pools.of(attempt.target.id)
    const connection = pool.take(this.#mayRepeat())
    if (connection === undefined) this.#connect(pool)
    else this.#begin(pool, connection)
  }

  abort() {
    if (this.#waiter !== undefined) this.#waiter.isCancelled = true
    this.#waiter = undefined
    this.#attempt = undefined
    this.#upstream?.cut()
    this.#upstream = undefined
  }

  discard() {
    this.#answer = undefined
    this.#upstream?.discard()
    this.#upstream = undefined
  }

  // The requester: what the connection to the upstream tells.

  interim({ connection, passed, reason, status }: ResponseHead) {
    const lines = Fields.without(passed, Headers.namedBy(connection))
    // The gateway has said itself that the client may go on.
    if (status !== 100) this.#connection.interim(`HTTP/1.1 ${status} ${reason}\r\n${lines}\r\n`)
  }

  answered(head: ResponseHead) {
    if (this.#isUpgrade()) {
      this.#upstream?.cut()
      return this.#failed("upgrade-failed", `answered ${head.status} to the WebSocket handshake`)
    }
    this.#headCame(head)
  }

  received(slices: ReadonlyArray<Buffer>, bytes: number) {
    this.#received += bytes
    return this.#connection.write(slices, bytes)
  }

  flush() {
    this.#connection.flush()
  }

  isSent() {
    return this.#body.isWhole
  }

  ended() {
    this.#upstream = undefined
    this.#end()
    this.#connection.finish()
  }

  upgraded(head: ResponseHead, socket: Socket, early: Buffer) {
    this.#upstream = undefined
    if (!this.#isUpgrade()) {
      socket.cut()
      return this.#failed("upstream-reset", "answered 101 to a request that asked for no other protocol")
    }
    this.#tunnel = { socket, early }
    this.#headCame(head)
  }

  upstreamDrained() {
    this.#connection.release()
  }

  broken(what: string, before: "nothing" | "head" | "end") {
    const { isReused = false } = this.#upstream ?? {}
    this.#upstream = undefined
    if (this.#isPassedOn) {
      this.#call.ended(
        this.#received,
        "upstream-reset",
        what === "connection broken"
          ? `the connection broke after ${this.#received} bytes of the body`
          : `${what}, after ${this.#received} bytes of the body`
      )
      return this.#connection.cut()
    }
    // The server ended the connection just when it was used again: nobody has seen the request.
    if (before === "nothing" && isReused && this.#mayRepeat() && this.#attempt !== undefined) {
      return this.#connect(this.#pools.of(this.#attempt.target.id))
    }
    this.#failed("upstream-reset", what)
  }

  silent() {
    const { idleMillis } = this
    const after = `after ${this.#received} bytes of the body`
    this.#upstream?.cut()
    this.#upstream = undefined
    this.#call.ended(this.#received, "upstream-timeout", `no byte for ${idleMillis} ms ${after}`)
    this.#connection.cut()
  }

  // The sink of the client's body.

  write(slices: ReadonlyArray<Buffer>, bytes: number) {
    if (this.#isTooLarge()) {
      this.#upstream?.cut()
      this.#upstream = undefined
      this.#failed("body-too-large", "the body is too large")
      return true
    }
    this.#isBodySent = true
    let goesOn = true
    for (const piece of RequestBody.framed(this.#head.length, slices, bytes)) {
      goesOn = this.#upstream?.write(piece) ?? true
    }
    return goesOn
  }

  end() {
    const ending = RequestBody.ending(this.#head.length)
    if (ending !== undefined) this.#upstream?.write(ending)
  }

  // The responder: what the connection of the client tells.

  clientDrained() {
    this.#upstream?.resume()
  }

  clientLeft() {
    if (!this.#isPassedOn) return this.#call.clientGone()
    this.#upstream?.cut()
    this.#upstream = undefined
    const detail = `the client left after ${this.#received} bytes of the body`
    this.#call.ended(this.#received, "client-closed", detail)
  }

  bodyMalformed(problem: string) {
    if (this.#connection.hasBegun || this.#attempt === undefined) return false
    this.#upstream?.cut()
    this.#upstream = undefined
    this.#failed("malformed-body", problem)
    return true
  }

  // The way there.

  #connect(pool: UpstreamPool) {
    const waiter: Waiter = {
      isCancelled: false,
      connected: (connection) => {
        this.#waiter = undefined
        this.#begin(pool, connection)
      },
      failed: (code) => {
        this.#waiter = undefined
        this.#failed("connect-failed", connectFailure(code))
      }
    }
    this.#waiter = waiter
    pool.connect(waiter)
  }

  /** Sends the head, with what there is of the body in the same piece. */
  #begin(pool: UpstreamPool, connection: UpstreamConnection) {
    if (this.#onward === undefined) return connection.end()
    const { length } = this.#head
    this.#upstream = connection
    const text = this.#text(pool.authority, this.#onward)
    if (length === 0) return void connection.begin(this, text)
    this.#connection.goOn()
    if (this.#isTooLarge()) {
      connection.end()
      return this.#failed("body-too-large", "the body is too large")
    }
    const held = this.#body.into(this)
    let goesOn = connection.begin(this, text)
    if (held.length > 0) {
      this.#isBodySent = true
      const pieces = RequestBody.framed(
        length,
        held,
        held.reduce((sum, slice) => sum + slice.length, 0)
      )
      for (const piece of pieces) goesOn = connection.write(piece)
    }
    if (this.#body.isWhole) this.end()
    if (goesOn) this.#connection.release()
    else this.#connection.hold()
  }

  #text(authority: string, onward: Onward) {
    const { connection, length, passed } = this.#head
    const kept = Fields.without(passed, Headers.namedBy(connection))
    const all = Headers.forUpstream(kept, this.#forwarded(), authority, this.requestId, onward)
    const url = upstreamUrl(this.url, onward.route.config)
    return `${this.method} ${url} HTTP/1.1\r\n${all}${this.#isUpgrade() ? upgradeLines : framing(length, this.method)}\r\n`
  }

  /** What is said of the client. */
  #forwarded() {
    const { host, lines } = this.#head
    const { forwarded, peer } = this.#connection
    if (this.#isTrusted) return Headers.forwarded({ peer, host, isTrusted: true, lines })
    if (forwarded?.host === host) return forwarded.lines
    const made = Headers.forwarded({ peer, host, isTrusted: false, lines })
    this.#connection.forwarded = { host, lines: made }
    return made
  }

  #isUpgrade() {
    return this.upgrade?.toLowerCase() === "websocket"
  }

  /** Nothing is lost when the request is sent once more. */
  #mayRepeat() {
    return !this.#isBodySent && !this.hasBody && idempotent.has(this.method)
  }

  #isTooLarge() {
    const { maxBody } = this.#onward?.route.config ?? {}
    return maxBody !== undefined && this.#body.bytes > maxBody
  }

  #failed(reason: AttemptFailed["reason"], what: string) {
    const attempt = this.#attempt
    this.#attempt = undefined
    if (attempt !== undefined) this.#attempts?.failed(attempt, new AttemptFailed(reason, what))
  }

  // The way back.

  #headCame(head: ResponseHead) {
    const attempt = this.#attempt
    if (attempt === undefined) return
    this.#attempt = undefined
    this.#answer = head
    this.#attempts?.answered(attempt, {
      status: head.status,
      bytes: typeof head.length === "number" ? head.length : undefined,
      isOpenEnded: head.status === 101 || Headers.isEventStream(head.contentType),
      retryAfterMillis: retryAfterMillis(head.retryAfter)
    })
  }

  #respond(answer: Answer) {
    const connection = this.#connection
    if (answer._tag === "Upstream") return this.#passOn()
    if (answer._tag === "Refusal") {
      const { body, headers, status } = render(answer.refusal, this.requestId, this.path)
      const bytes = Buffer.from(body)
      const lines = Object.entries(headers).map(([name, value]) => Headers.line(name, value))
      connection.answer(status, reasons[status] ?? "", this.#withOwn(lines.join("")), bytes.length)
      connection.write([bytes], bytes.length)
    } else {
      const lines = answer.headers.map(([name, value]) => Headers.line(name, value))
      const all = `${lines.join("")}X-Request-Id: ${this.requestId}\r\n`
      connection.answer(answer.status, reasons[answer.status] ?? "", this.#withOwn(all), 0)
    }
    connection.finish()
  }

  #passOn() {
    const head = this.#answer
    if (head === undefined) return
    const { account, route } = this.#call
    this.#isPassedOn = true
    let lines = Fields.without(head.passed, Headers.namedBy(head.connection))
    if (route.config.cors !== undefined) lines = Fields.without(lines, Cors.replaced)
    lines += `X-Request-Id: ${this.requestId}\r\nServer-Timing: ${Headers.serverTiming(account.durationMillis, account.upstreamMillis())}\r\n`
    lines = this.#withOwn(Headers.change(lines, route.config.responseHeaders))
    if (this.#tunnel !== undefined) return this.#join(this.#tunnel, head.reason, lines)
    this.#connection.answer(head.status, head.reason, lines, head.length)
  }

  #join({ early, socket }: { readonly socket: Socket; readonly early: Buffer }, reason: string, lines: string) {
    const { socket: client } = this.#connection
    const first = this.#connection.switchProtocols(reason, `${lines}${upgradeLines}`)
    Tunnel.join(client, socket, (sent) => {
      this.#call.ended(sent)
      this.#connection.closed()
    })
    if (first !== undefined) client.handler.data(first)
    if (early.length > 0) socket.handler.data(early)
  }

  /** The headers of the call. Those that protect browsers give way to what is there. */
  #withOwn(lines: string) {
    const { headers } = this.#call
    if (headers.length === 0) return lines
    const before = `\r\n${lines.toLowerCase()}`
    let all = lines
    for (const [name, value] of headers) {
      if (!SecurityHeaders.isOne(name) || !before.includes(`\r\n${name}:`)) all += Headers.line(name, value)
    }
    return all
  }

  #end() {
    if (typeof this.#head.length !== "number") this.#call.account.requestBytes = this.#body.bytes
    this.#call.ended(this.#received)
  }
}

const upgradeLines = "Connection: Upgrade\r\nUpgrade: websocket\r\n"

/** A body of no bytes is said to have none where the method expects one (RFC 9110, section 8.6). */
const framing = (length: RequestHead["length"], method: string) => {
  if (length === "chunked") return "Transfer-Encoding: chunked\r\n"
  return length > 0 || method === "POST" || method === "PUT" || method === "PATCH"
    ? `Content-Length: ${length}\r\n`
    : ""
}

/** What the gateway's own statuses are called. */
export const reasons: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported"
}
