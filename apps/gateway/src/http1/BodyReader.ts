import type { Length } from "./RequestHead.ts"

/** The longest line with a chunk's size and its extensions, and the most that trailers may have, in bytes. */
const longestSizeLine = 1024
const mostTrailers = 16 * 1024

const cr = 13
const lf = 10

const hexDigit = (code: number) => {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

type ChunkState =
  | "size"
  | "extension"
  | "size-lf"
  | "data"
  | "data-cr"
  | "data-lf"
  | "trailer"
  | "trailer-lf"
  | "last-lf"

/**
 * Finds a body in the bytes of a connection: by its length, by its chunks (RFC 9112, section 7.1), or, where the length is
 * `undefined`, in all bytes that come. Extensions and trailers of chunks are read and left out.
 */
export class BodyReader {
  /** The body has ended by its own framing. */
  isWhole: boolean
  /** What is wrong with its framing; nothing more is read then. */
  problem: string | undefined
  readonly #length: Length | undefined
  /** Bytes that are left, of the body or of the chunk. */
  #left: number
  #state: ChunkState = "size"
  /** Digits of a size, or bytes of a line or of trailers. */
  #count = 0
  #digits = 0

  constructor(length: Length | undefined) {
    this.#length = length
    this.#left = typeof length === "number" ? length : 0
    this.isWhole = length === 0
  }

  /** Takes bytes from `from` on, puts slices of the body into `into`, and gives the place after the last byte that is its own. */
  read(bytes: Buffer, from: number, into: Array<Buffer>): number {
    if (this.isWhole || from >= bytes.length) return from
    if (this.#length === "chunked") return this.#chunks(bytes, from, into)
    if (this.#length === undefined) {
      into.push(from === 0 ? bytes : bytes.subarray(from))
      return bytes.length
    }
    const end = Math.min(bytes.length, from + this.#left)
    into.push(from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end))
    this.#left -= end - from
    this.isWhole = this.#left === 0
    return end
  }

  #chunks(bytes: Buffer, from: number, into: Array<Buffer>): number {
    let at = from
    while (at < bytes.length && !this.isWhole && this.problem === undefined) {
      if (this.#state === "data") {
        const end = Math.min(bytes.length, at + this.#left)
        into.push(bytes.subarray(at, end))
        this.#left -= end - at
        if (this.#left === 0) this.#state = "data-cr"
        at = end
      } else this.#step(bytes[at++] ?? 0)
    }
    return at
  }

  /** One byte of what is between chunks. */
  #step(code: number) {
    switch (this.#state) {
      case "size": {
        const digit = hexDigit(code)
        if (digit !== -1) {
          // 13 digits are as many as a number keeps exactly.
          if (++this.#digits > 13) this.problem = "the size of a chunk is too large"
          this.#left = this.#left * 16 + digit
        } else if (this.#digits === 0) this.problem = "the size of a chunk is no number"
        else if (code === cr) this.#state = "size-lf"
        else if (code === 59 || code === 32 || code === 9) this.#state = "extension"
        else this.problem = "the size of a chunk is no number"
        return
      }
      case "extension":
        if (code === cr) this.#state = "size-lf"
        else if (++this.#count > longestSizeLine || code === lf) this.problem = "the extensions of a chunk are too long"
        return
      case "size-lf":
        if (code !== lf) this.problem = "the line with the size of a chunk does not end"
        this.#count = 0
        this.#digits = 0
        this.#state = this.#left === 0 ? "trailer" : "data"
        return
      case "data-cr":
        if (code !== cr) this.problem = "a chunk is longer than its size"
        this.#state = "data-lf"
        return
      case "data-lf":
        if (code !== lf) this.problem = "a chunk is longer than its size"
        this.#state = "size"
        return
      case "trailer":
        // An empty line is the end; `#digits` counts the bytes of this one.
        if (code === cr) this.#state = this.#digits === 0 ? "last-lf" : "trailer-lf"
        else if (code === lf || ++this.#count > mostTrailers) this.problem = "what follows the last chunk is not valid"
        else this.#digits = 1
        return
      case "trailer-lf":
        if (code !== lf) this.problem = "what follows the last chunk is not valid"
        this.#digits = 0
        this.#state = "trailer"
        return
      default:
        if (code === lf) this.isWhole = true
        else this.problem = "what follows the last chunk is not valid"
    }
  }
}

const crlf = Buffer.from("\r\n")

/** What ends a body in chunks. */
export const lastChunk = Buffer.from("0\r\n\r\n")

/** One chunk that holds all of the slices. */
export const chunkOf = (slices: ReadonlyArray<Buffer>, bytes: number) =>
  Buffer.concat([Buffer.from(`${bytes.toString(16)}\r\n`), ...slices, crlf])
