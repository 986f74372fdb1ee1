/** What comes next in a multipart body. `PartEnd` follows the data of each part, and `End` the last part. */
export type Event =
  | { readonly _tag: "Head"; readonly head: Uint8Array }
  | { readonly _tag: "Data"; readonly data: Uint8Array }
  | { readonly _tag: "PartEnd" }
  | { readonly _tag: "End" }
  | { readonly _tag: "HeadTooLarge" }

export interface Splitter {
  /** Takes the next bytes of the body, however it is cut into pieces. */
  readonly push: (bytes: Uint8Array) => ReadonlyArray<Event>
}

const [tab, lineFeed, carriageReturn, space, dash] = [9, 10, 13, 32, 45]

/** In bytes. White space after a boundary that is longer is taken for content. */
const maxPadding = 1024
const maxHead = 16 * 1024

const endOfHead = Buffer.from("\r\n\r\n")

/** What follows the delimiter that `at` is behind; `undefined` as long as more bytes have to come. `end` is the CRLF after padding. */
const following = (buffer: Buffer, at: number): "close" | "content" | { readonly end: number } | undefined => {
  if (buffer[at] === dash) return at + 1 >= buffer.length ? undefined : buffer[at + 1] === dash ? "close" : "content"
  let end = at
  while (end < buffer.length && (buffer[end] === space || buffer[end] === tab)) end++
  if (end - at > maxPadding) return "content"
  if (end >= buffer.length) return undefined
  if (buffer[end] !== carriageReturn) return "content"
  if (end + 1 >= buffer.length) return undefined
  return buffer[end + 1] === lineFeed ? { end } : "content"
}

/**
 * Divides the body of RFC 2046, section 5.1.1: `--boundary`, at the start of a line, may be followed by spaces and tabs and has to be
 * followed by CRLF, or by `--` after the last part. Anything else that looks like it is content. What is before the first and after
 * the last boundary is left out.
 */
export const make = (boundary: string): Splitter => {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  let state: "preamble" | "head" | "body" | "end" = "preamble"
  // The first boundary may be at the very start.
  let buffer: Buffer = Buffer.from("\r\n")
  let events: Array<Event> = []

  const give = (data: Uint8Array) => {
    if (state === "body" && data.length > 0) events.push({ _tag: "Data", data })
  }

  /** From where on the bytes could still become a delimiter. */
  const undecided = () => {
    const from = Math.max(0, buffer.length - delimiter.length + 1)
    const at = buffer.indexOf(carriageReturn, from)
    return at === -1 ? buffer.length : at
  }

  /** Passes on up to the next delimiter; `false` when more bytes have to come. */
  const skipToDelimiter = () => {
    for (let from = 0; ; ) {
      const at = buffer.indexOf(delimiter, from)
      const next = at === -1 ? undefined : following(buffer, at + delimiter.length)
      if (next === "content") {
        from = at + 1
        continue
      }
      const end = at === -1 ? undecided() : at
      give(buffer.subarray(0, end))
      buffer = buffer.subarray(end)
      if (next === undefined) return false
      if (state === "body") events.push({ _tag: "PartEnd" })
      state = next === "close" ? "end" : "head"
      if (next === "close") events.push({ _tag: "End" })
      else buffer = buffer.subarray(next.end - at)
      return true
    }
  }

  /** The buffer starts with the line end before the head. */
  const takeHead = () => {
    const end = buffer.indexOf(endOfHead)
    if (end > maxHead || (end === -1 && buffer.length > maxHead)) {
      state = "end"
      events.push({ _tag: "HeadTooLarge" })
      return true
    }
    if (end === -1) return false
    events.push({ _tag: "Head", head: buffer.subarray(2, Math.max(2, end)) })
    buffer = buffer.subarray(end + endOfHead.length)
    state = "body"
    return true
  }

  /** Whether it came further. */
  const step = () => {
    if (state === "end") return false
    return state === "head" ? takeHead() : skipToDelimiter()
  }

  return {
    push: (bytes) => {
      events = []
      if (state === "end") return events
      buffer =
        buffer.length === 0 ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) : Buffer.concat([buffer, bytes])
      while (step()) {
        // Goes on with what follows.
      }
      return events
    }
  }
}
