import { chunkOf, lastChunk } from "./http1/BodyReader.ts"
import * as Fields from "./http1/Fields.ts"
import * as RequestHead from "./http1/RequestHead.ts"
import { isBodiless } from "./http1/ResponseHead.ts"
import type { Socket, SocketHandler } from "./net/Socket.ts"
import { RequestBody } from "./RequestBody.ts"
import type { Ticker, Waiting } from "./Ticker.ts"

/** What answers one request of a connection. */
export interface Responder {
  /** The client takes more of the answer. */
  readonly clientDrained: () => void
  /** The client has left before its answer was whole. */
  readonly clientLeft: () => void
  /** The body is not framed as it says. `false` where the answer has begun, so that nothing can be said any more. */
  readonly bodyMalformed: (problem: string) => boolean
}

/** What all connections of a server share. */
export interface ClientConnections {
  readonly ticker: Ticker
  /** The requests of this connection have to end. */
  readonly isDraining: () => boolean
  /** Begins to answer a request; what it gives is told of what happens meanwhile. */
  readonly respond: (connection: ClientConnection, head: RequestHead.RequestHead, body: RequestBody) => Responder
  /** Text and status of the answer to what is no request. */
  readonly refuse: (connection: ClientConnection, malformed: RequestHead.Malformed) => void
  readonly defect: (error: unknown) => void
  readonly closed: (connection: ClientConnection) => void
}

/** The most that the head of a request may have, in bytes. */
const mostHead = 16 * 1024
/** What a client may have sent ahead of its answers, in bytes, before it is read no further. */
const mostAhead = 64 * 1024
/** Bodies up to this length are sent with their head in one piece, in bytes. */
const joined = 16 * 1024

/** Milliseconds for a head to come whole, from its first byte or from the connection's beginning. */
const headTimeout = 12_000
/** Milliseconds in which something has to happen: a request after an answer, more of a body, or the taking of an answer. */
const idleTimeout = 60_000
/** Milliseconds for what a client still sends after an answer that did not wait for it. */
const discardTimeout = 30_000
/** Milliseconds for a client to end its side of a connection after the gateway has ended its own. */
const endTimeout = 2000

const crlf = 0x0d0a

/** A client's connection (HTTP/1.1, RFC 9112): reads one request after the other, and writes their answers. */
export class ClientConnection implements SocketHandler, Waiting {
  dueAt: number
  slot = -1
  readonly socket: Socket
  readonly peer: string | undefined
  readonly #all: ClientConnections
  /** What was last said onward of this client, for the host that it asked for: nearly always the same again. */
  forwarded: { readonly host: string; readonly lines: string } | undefined
  #unread: Buffer | undefined
  #head: RequestHead.RequestHead | undefined
  #body: RequestBody | undefined
  #responder: Responder | undefined
  /** The answer's head before it is sent; the framing of its body; whether it is whole. */
  #pending: string | undefined
  #framing: RequestHead.Length | "close" = 0
  #hasAnswered = false
  #keepsAlive = true
  #isReading = false
  #isHeld = false
  #isBlocked = false
  /** The answer is whole, and the rest of the request is read for nothing. */
  #isDiscarding = false
  #isEnding = false
  /** What waited for the client when it was looked at the last time. */
  #waited = 0
  #isClosed = false

  constructor(socket: Socket, all: ClientConnections) {
    this.socket = socket
    this.peer = socket.remoteAddress
    this.#all = all
    this.dueAt = performance.now() + headTimeout
    socket.handler = this
    all.ticker.add(this)
  }

  get isIdle() {
    return this.#head === undefined
  }

  /** The answer's head has been given. */
  get hasBegun() {
    return this.#hasAnswered
  }

  data(bytes: Buffer) {
    if (this.#isEnding) return
    try {
      const body = this.#body
      if (body !== undefined && !body.isWhole) this.#readBody(body, bytes)
      else {
        this.#unread = this.#unread === undefined ? bytes : Buffer.concat([this.#unread, bytes])
        if (body === undefined) this.#read()
        else if (this.#unread.length > mostAhead) this.hold()
      }
    } catch (error) {
      this.#all.defect(error)
      this.cut()
    }
  }

  drained() {
    this.#isBlocked = false
    this.#responder?.clientDrained()
  }

  closed() {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#all.ticker.remove(this)
    this.#all.closed(this)
    const responder = this.#responder
    this.#responder = undefined
    responder?.clientLeft()
  }

  due(now: number) {
    if (this.#isEnding || this.#isDiscarding) return this.cut()
    if (this.#isBlocked) {
      const waits = this.socket.waiting()
      if (waits === this.#waited) return this.cut()
      this.#waited = waits
    } else if (this.#head === undefined) {
      return this.#unread === undefined
        ? this.end()
        : this.#refuse(new RequestHead.Malformed(`the head did not come within ${headTimeout / 1000} s`, 408))
    } else if (this.#body?.isWhole === false && !this.#isHeld) return this.cut()
    this.dueAt = now + idleTimeout
  }

  /** Ends the connection when what has been written is sent. */
  end() {
    this.#keepsAlive = false
    this.#isEnding = true
    this.dueAt = performance.now() + endTimeout
    this.#resume()
    this.socket.end()
  }

  /** Ends the connection at once, so that the client takes nothing for the whole. */
  cut() {
    this.socket.cut()
    this.closed()
  }

  /** Ends it where it waits for a request, otherwise after the answer that is under way. */
  drain() {
    if (this.isIdle) this.end()
    else this.#keepsAlive = false
  }

  /** No more of the request's body may come until `release`. */
  hold() {
    if (this.#isHeld) return
    this.#isHeld = true
    this.socket.pause()
  }

  release() {
    if (this.#isHeld) this.dueAt = performance.now() + idleTimeout
    this.#resume()
  }

  /** Tells the client to send the body that it asked for before. */
  goOn() {
    if (this.#head?.minor === 1 && this.#body?.bytes === 0 && /100-continue/i.test(this.#head.expect ?? "")) {
      this.interim("HTTP/1.1 100 Continue\r\n\r\n")
    }
  }

  /** Sends an interim answer, to a client that knows such. */
  interim(text: string) {
    if (this.#head?.minor === 1 && !this.#hasAnswered) this.socket.writeText(text)
  }

  /**
   * Begins an answer. `lines` are those of its head, each with its end, without any that frame it or say what becomes of the
   * connection. A body whose length is not known goes in chunks, or until the connection ends.
   */
  answer(status: number, reason: string, lines: string, length: RequestHead.Length | undefined) {
    const head = this.#head
    this.#hasAnswered = true
    // What else the client sends may be without end.
    if (this.#body?.isWhole !== true || this.#all.isDraining()) this.#keepsAlive = false
    let framing = ""
    if (isBodiless(status)) this.#framing = 0
    else if (typeof length === "number") {
      this.#framing = length
      framing = `Content-Length: ${length}\r\n`
    } else if (head === undefined || head.minor === 1) {
      this.#framing = "chunked"
      framing = "Transfer-Encoding: chunked\r\n"
    } else {
      this.#framing = "close"
      this.#keepsAlive = false
    }
    if (head?.method === "HEAD") {
      // The length is not known, and no body comes that would need it.
      if (length === undefined) framing = ""
      this.#framing = 0
    }
    const connection = this.#keepsAlive
      ? head?.minor === 0
        ? "Connection: keep-alive\r\n"
        : ""
      : "Connection: close\r\n"
    this.#pending = `HTTP/1.1 ${status} ${reason}\r\n${lines}${framing}${connection}\r\n`
  }

  /** Begins the answer after which the connection has another protocol. The connection is the caller's then. */
  switchProtocols(reason: string, lines: string) {
    this.#all.ticker.remove(this)
    this.#hasAnswered = true
    this.socket.writeText(`HTTP/1.1 101 ${reason}\r\n${lines}\r\n`)
    return this.#unread
  }

  /** Sends slices of the answer's body, so many bytes; `false` where no more may come until `clientDrained`. */
  write(slices: ReadonlyArray<Buffer>, bytes: number): boolean {
    const framing = this.#framing
    if (framing === 0) return true
    const pieces = framing === "chunked" ? [chunkOf(slices, bytes)] : slices
    let goesOn = true
    const text = this.#pending
    if (text !== undefined) {
      this.#pending = undefined
      const [only] = pieces
      if (pieces.length === 1 && only !== undefined && only.length <= joined) {
        return this.#took(this.socket.writeText(text, only))
      }
      goesOn = this.#took(this.socket.writeText(text))
    }
    for (const piece of pieces) goesOn = this.#took(this.socket.write(piece))
    return goesOn
  }

  /** Sends what there is of the answer now, so that nothing waits for more. */
  flush() {
    const text = this.#pending
    if (text === undefined) return
    this.#pending = undefined
    this.#took(this.socket.writeText(text))
  }

  /** The answer is whole: goes on with the next request, if there may be one. */
  finish() {
    this.flush()
    if (this.#framing === "chunked") this.#took(this.socket.write(lastChunk))
    this.#responder = undefined
    if (this.#body?.isWhole === true) return this.#next()
    this.#isDiscarding = true
    this.#body?.discard()
    this.dueAt = performance.now() + discardTimeout
    this.#resume()
  }

  #resume() {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.socket.resume()
  }

  /** Notes whether the client takes what was written. */
  #took(isTaken: boolean) {
    if (isTaken) return true
    if (!this.#isBlocked) {
      this.#isBlocked = true
      this.#waited = 0
      this.dueAt = performance.now() + idleTimeout
    }
    return false
  }

  /** The request and its answer are done with. */
  #next() {
    this.#head = undefined
    this.#body = undefined
    this.#hasAnswered = false
    this.#isDiscarding = false
    if (!this.#keepsAlive || this.#all.isDraining()) return this.end()
    this.dueAt = performance.now() + (this.#unread === undefined ? idleTimeout : headTimeout)
    this.#resume()
    if (this.#unread !== undefined) this.#read()
  }

  /** Reads requests as long as there are any whole heads. An answer may be there at once, and asks for the next one here. */
  #read() {
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (this.#unread !== undefined && this.#head === undefined && this.#keepsAlive) if (!this.#readHead()) return
    } finally {
      this.#isReading = false
    }
  }

  /** `false` where more bytes are needed, or nothing more is read. */
  #readHead(): boolean {
    let unread = this.#unread
    if (unread === undefined) return false
    // An empty line before a request is ignored (RFC 9112, section 2.2).
    if (unread.length >= 2 && unread.readUInt16BE(0) === crlf) unread = unread.subarray(2)
    const end = unread.indexOf(Fields.blankLine)
    if (end === -1 || end > mostHead) {
      this.#unread = unread.length === 0 ? undefined : unread
      return this.#headIsPartial(unread)
    }
    const head = RequestHead.parse(unread.toString("latin1", 0, end))
    this.#unread = end + 4 === unread.length ? undefined : unread.subarray(end + 4)
    if (head instanceof RequestHead.Malformed) {
      this.#refuse(head)
      return false
    }
    this.#begin(head)
    return true
  }

  #headIsPartial(unread: Buffer) {
    if (unread.length > mostHead) {
      this.#refuse(new RequestHead.Malformed(`the head has more than ${mostHead} bytes`, 431))
      return false
    }
    // A line that ends in LF alone would be waited for in vain.
    const line = unread.indexOf(10)
    if (line === 0 || (line > 0 && unread[line - 1] !== 13)) {
      this.#refuse(new RequestHead.Malformed("a line of the head does not end in CR LF"))
    } else if (this.dueAt > performance.now() + headTimeout) this.dueAt = performance.now() + headTimeout
    return false
  }

  #begin(head: RequestHead.RequestHead) {
    const body = new RequestBody(head.length)
    this.#head = head
    this.#body = body
    this.#keepsAlive = keepsAlive(head)
    this.dueAt = performance.now() + idleTimeout
    const first = this.#unread
    if (first !== undefined && !body.isWhole) {
      this.#unread = undefined
      this.#unread = body.read(first, () => this.hold())
      if (body.problem !== undefined) return this.#refuse(new RequestHead.Malformed(body.problem))
    }
    const responder = this.#all.respond(this, head, body)
    // It may have answered already.
    if (this.#head === head && !this.#isDiscarding && !this.#isClosed) this.#responder = responder
  }

  #readBody(body: RequestBody, bytes: Buffer) {
    if (!this.#isDiscarding) this.dueAt = performance.now() + idleTimeout
    this.#unread = body.read(bytes, () => this.hold())
    const { problem } = body
    if (problem !== undefined) {
      if (this.#responder?.bodyMalformed(problem) !== true) this.cut()
    } else if (this.#isDiscarding && body.isWhole) this.#next()
  }

  #refuse(malformed: RequestHead.Malformed) {
    this.#keepsAlive = false
    this.#unread = undefined
    this.#all.refuse(this, malformed)
    this.end()
  }
}

const keepsAlive = ({ connection, minor }: RequestHead.RequestHead) => {
  if (connection === undefined) return minor === 1
  return minor === 1 ? !/\bclose\b/i.test(connection) : /\bkeep-alive\b/i.test(connection)
}
