import { BodyReader } from "./http1/BodyReader.ts"
import * as Fields from "./http1/Fields.ts"
import * as ResponseHead from "./http1/ResponseHead.ts"
import type { Socket, SocketHandler } from "./net/Socket.ts"
import type { Ticker, Waiting } from "./Ticker.ts"
import type { UpstreamPool } from "./UpstreamPool.ts"

/** What a connection to an upstream is used by: one request at a time. */
export interface Requester {
  readonly method: string
  /** The longest time between two pieces of the body, in milliseconds. */
  readonly idleMillis: number
  readonly interim: (head: ResponseHead.ResponseHead) => void
  /** The head is there. What it calls may be `discard`; otherwise the body follows. */
  readonly answered: (head: ResponseHead.ResponseHead) => void
  /** Slices of the body, so many bytes; `false` where no more may come before `resume`. */
  readonly received: (slices: ReadonlyArray<Buffer>, bytes: number) => boolean
  /** No more of the body is there at the moment than has been received. */
  readonly flush: () => void
  /** The answer is whole. */
  readonly ended: () => void
  /** Whether all of the request has been sent, so that the connection can be used again. */
  readonly isSent: () => boolean
  /** The upstream agreed to change the protocol: the socket is the requester's, with what came after the head. */
  readonly upgraded: (head: ResponseHead.ResponseHead, socket: Socket, early: Buffer) => void
  /** The upstream takes more of the request. */
  readonly upstreamDrained: () => void
  /** The connection broke, or what came is no HTTP; before the head came, nothing of an answer may have come at all. */
  readonly broken: (what: string, before: "nothing" | "head" | "end") => void
  /** No byte of the body came for `idleMillis`. */
  readonly silent: () => void
}

/** The most that the head of an answer may have, in bytes. */
const mostHead = 64 * 1024

const nothing: Buffer = Buffer.alloc(0)

/** One connection to a target (HTTP/1.1, RFC 9112), which takes one request after the other. */
export class UpstreamConnection implements SocketHandler, Waiting {
  dueAt = 0
  slot = -1
  /** Since when it is idle, and how long it may be, in milliseconds. */
  idleSince = 0
  keepAliveMillis: number
  /** It has had an answer before: the upstream may have ended it in the meantime. */
  isReused = false
  readonly #socket: Socket
  readonly #pool: UpstreamPool
  readonly #ticker: Ticker
  #requester: Requester | undefined
  #unread: Buffer = nothing
  #hasBegun = false
  #head: ResponseHead.ResponseHead | undefined
  #body: BodyReader | undefined
  #isHeld = false
  #isClosed = false

  constructor(socket: Socket, pool: UpstreamPool, ticker: Ticker, keepAliveMillis: number) {
    this.#socket = socket
    this.#pool = pool
    this.#ticker = ticker
    this.keepAliveMillis = keepAliveMillis
    socket.handler = this
  }

  get isOpen() {
    return !this.#isClosed
  }

  /** Sends a request's head. */
  begin(requester: Requester, head: string) {
    this.#requester = requester
    this.#hasBegun = false
    return this.#socket.writeText(head)
  }

  write(bytes: Buffer) {
    return this.#socket.write(bytes)
  }

  /** The body may go on. */
  resume() {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.dueAt = performance.now() + (this.#requester?.idleMillis ?? 0)
    this.#socket.resume()
  }

  /** Ends it at once; nobody is told. */
  cut() {
    this.#requester = undefined
    this.#close()
    this.#socket.cut()
  }

  /** Ends it while it is idle. */
  end() {
    this.#close()
    this.#socket.close()
  }

  /** The answer is of no use. A short one is read to its end, so that the connection can be used again. */
  discard() {
    const isSent = this.#requester?.isSent() === true
    const { length } = this.#head ?? {}
    const isShort = length === "chunked" || (length !== undefined && length <= mostHead)
    if (!isSent || !isShort) return this.cut()
    this.#requester = discarding
  }

  data(bytes: Buffer) {
    // An answer that nobody asked for.
    if (this.#requester === undefined) return this.cut()
    this.#hasBegun = true
    if (this.#body !== undefined) return this.#receive(bytes, 0)
    this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes])
    this.#readHead()
  }

  drained() {
    this.#requester?.upstreamDrained()
  }

  closed(isBroken: boolean) {
    if (this.#isClosed) return
    this.#close()
    const requester = this.#requester
    this.#requester = undefined
    if (requester === undefined) return
    if (this.#body === undefined) return requester.broken("connection broken", this.#hasBegun ? "head" : "nothing")
    // Without a length the end of the connection is the end of the body.
    if (this.#head?.length === undefined && !isBroken) requester.ended()
    else requester.broken("connection broken", "end")
  }

  due(now: number) {
    if (this.#isHeld) this.dueAt = now + (this.#requester?.idleMillis ?? 0)
    else this.#requester?.silent()
  }

  #readHead() {
    for (;;) {
      const end = this.#unread.indexOf(Fields.blankLine)
      if (end === -1 || end > mostHead) {
        if (this.#unread.length > mostHead) this.#invalid("the answer's head is too large")
        return
      }
      const head = ResponseHead.parse(this.#unread.toString("latin1", 0, end))
      if (typeof head === "string") return this.#invalid(head)
      const rest = this.#unread.subarray(end + 4)
      const requester = this.#requester
      if (requester === undefined) return
      if (head.status === 101) return this.#upgrade(requester, head, rest)
      if (head.status >= 200) {
        this.#unread = nothing
        return this.#answer(requester, head, rest)
      }
      this.#unread = rest
      requester.interim(head)
      if (rest.length === 0) return
    }
  }

  #answer(requester: Requester, head: ResponseHead.ResponseHead, rest: Buffer) {
    const isBodiless = requester.method === "HEAD" || ResponseHead.isBodiless(head.status)
    this.#head = head
    this.#body = new BodyReader(isBodiless ? 0 : head.length)
    if (head.keepAliveMillis !== undefined) this.keepAliveMillis = head.keepAliveMillis
    requester.answered(head)
    this.#receive(rest, 0)
    if (this.#requester === requester) requester.flush()
  }

  #receive(bytes: Buffer, from: number) {
    const body = this.#body
    const requester = this.#requester
    if (body === undefined || requester === undefined) return
    const slices: Array<Buffer> = []
    const end = body.read(bytes, from, slices)
    if (body.problem !== undefined) return this.#invalid(body.problem)
    let goesOn = true
    if (slices.length > 0) {
      let size = 0
      for (const slice of slices) size += slice.length
      goesOn = requester.received(slices, size)
      // The requester may have given up.
      if (this.#requester !== requester) return
    }
    if (body.isWhole) return this.#finish(requester, end === bytes.length)
    this.dueAt = performance.now() + requester.idleMillis
    if (this.slot === -1) this.#ticker.add(this)
    if (goesOn || this.#isHeld) return
    this.#isHeld = true
    this.#socket.pause()
  }

  /** The answer is whole; what came after it belongs to nothing. */
  #finish(requester: Requester, isClean: boolean) {
    this.#ticker.remove(this)
    const keepsAlive = this.#head?.keepsAlive === true
    this.#requester = undefined
    this.#head = undefined
    this.#body = undefined
    if (this.#isHeld) this.resume()
    if (isClean && keepsAlive && requester.isSent()) {
      this.isReused = true
      this.#pool.put(this)
    } else this.cut()
    requester.ended()
  }

  #upgrade(requester: Requester, head: ResponseHead.ResponseHead, rest: Buffer) {
    this.#requester = undefined
    this.#close()
    requester.upgraded(head, this.#socket, rest)
  }

  #invalid(what: string) {
    const requester = this.#requester
    const before = this.#body === undefined ? "head" : "end"
    this.cut()
    requester?.broken(what, before)
  }

  #close() {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#ticker.remove(this)
    this.#pool.remove(this)
  }
}

/** Reads the rest of an answer that is of no use. */
const discarding: Requester = {
  method: "GET",
  idleMillis: 5000,
  interim: () => {},
  answered: () => {},
  received: () => true,
  flush: () => {},
  ended: () => {},
  isSent: () => true,
  upgraded: (_, socket) => socket.cut(),
  upstreamDrained: () => {},
  broken: () => {},
  silent: () => {}
}
