import { BodyReader, chunkOf, lastChunk } from "./http1/BodyReader.ts"
import type { Length } from "./http1/RequestHead.ts"

/** Where a request's body goes: the connection to its upstream, or a handler of the gateway's own. */
export interface BodySink {
  /** Takes slices, so many bytes; `false` where no more may come until `release` is called. */
  readonly write: (slices: ReadonlyArray<Buffer>, bytes: number) => boolean
  /** The body is whole. */
  readonly end: () => void
}

/** What is kept of a body before it is known where it goes, in bytes. */
const mostHeld = 64 * 1024

/** The body of a request on its way: kept until it has a sink, then handed over as it comes. */
export class RequestBody {
  readonly length: Length
  /** Bytes so far. */
  bytes = 0
  readonly #reader: BodyReader
  #held: Array<Buffer> = []
  #sink: BodySink | undefined
  #isDiscarded = false

  constructor(length: Length) {
    this.length = length
    this.#reader = new BodyReader(length)
  }

  get isWhole() {
    return this.#reader.isWhole
  }

  get problem() {
    return this.#reader.problem
  }

  /** Takes what has come, and gives what belongs to the next request, if anything does; `hold` is called where no more may come. */
  read(bytes: Buffer, hold: () => void): Buffer | undefined {
    const slices: Array<Buffer> = []
    const end = this.#reader.read(bytes, 0, slices)
    let size = 0
    for (const slice of slices) size += slice.length
    this.bytes += size
    if (this.#reader.problem === undefined && !this.#isDiscarded) this.#pass(slices, size, hold)
    return end < bytes.length && this.isWhole ? bytes.subarray(end) : undefined
  }

  #pass(slices: ReadonlyArray<Buffer>, size: number, hold: () => void) {
    if (this.#sink === undefined) {
      this.#held.push(...slices)
      if (this.bytes > mostHeld && !this.isWhole) hold()
      return
    }
    if (size > 0 && !this.#sink.write(slices, size)) hold()
    if (this.isWhole) this.#sink.end()
  }

  /** What has come before there was a sink, which gets all that comes from now on. */
  into(sink: BodySink): ReadonlyArray<Buffer> {
    const held = this.#held
    this.#held = []
    this.#sink = sink
    return held
  }

  /** The rest is of no use. */
  discard() {
    this.#held = []
    this.#sink = undefined
    this.#isDiscarded = true
  }
}

/** Slices as they are framed for the other side. */
export const framed = (length: Length, slices: ReadonlyArray<Buffer>, bytes: number): ReadonlyArray<Buffer> =>
  length === "chunked" ? [chunkOf(slices, bytes)] : slices

/** What ends a body. */
export const ending = (length: Length) => (length === "chunked" ? lastChunk : undefined)
