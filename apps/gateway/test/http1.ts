/** A start line and the headers below it, as they came over the wire. */
export interface Head {
  readonly line: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
}

/** All values of a header, in their order. */
export const values = (head: Head, name: string): ReadonlyArray<string> =>
  head.headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value)

export const value = (head: Head, name: string) => values(head, name)[0]

export interface Events {
  /** `false`: a body does not follow, whatever the headers say (answers to `HEAD`, 204, 304). */
  readonly head: (head: Head) => boolean
  readonly body: (chunk: Buffer) => void
  /** The message is complete by its own framing. */
  readonly end: () => void
}

/** A head's text, without the empty line at its end. */
export const parse = (text: string): Head => {
  const [line = "", ...rest] = text.split("\r\n")
  return {
    line,
    headers: rest.map((header) => {
      const colon = header.indexOf(":")
      return [header.slice(0, colon), header.slice(colon + 1).trim()] as const
    })
  }
}

/**
 * Reads HTTP/1.1 messages, one after the other, from a socket's bytes. Written for tests, so that what is on the wire is
 * seen as it is: no client or server of a runtime is between.
 */
export const makeReader = (events: Events) => {
  let waiting: Buffer = Buffer.alloc(0)
  let state: "head" | "sized" | "chunk-size" | "chunk" | "chunk-end" | "trailers" | "until-close" = "head"
  let left = 0

  const line = () => {
    const end = waiting.indexOf("\r\n")
    if (end === -1) return undefined
    const text = waiting.toString("latin1", 0, end)
    waiting = waiting.subarray(end + 2)
    return text
  }
  const end = () => {
    state = "head"
    events.end()
    return true
  }
  const take = () => {
    const chunk = waiting.subarray(0, left)
    waiting = waiting.subarray(chunk.length)
    left -= chunk.length
    if (chunk.length > 0) events.body(chunk)
    return left === 0
  }
  const begin = (head: Head) => {
    const request = !head.line.startsWith("HTTP/")
    if (!events.head(head)) return end()
    const length = value(head, "content-length")
    left = Number(length ?? 0)
    if (value(head, "transfer-encoding") === "chunked") state = "chunk-size"
    else if (length !== undefined) state = "sized"
    else if (request) return end()
    else state = "until-close"
    return left > 0 || state !== "sized" || end()
  }
  /** Goes one step on; `false` where more bytes are needed. */
  const step = (): boolean => {
    if (state === "head") {
      const blank = waiting.indexOf("\r\n\r\n")
      if (blank === -1) return false
      const head = parse(waiting.toString("latin1", 0, blank))
      waiting = waiting.subarray(blank + 4)
      // An interim answer (100 Continue) comes before the one that counts.
      return /^HTTP\/1.1 1\d\d/.test(head.line) || begin(head)
    }
    if (state === "sized") return take() && end()
    if (state === "until-close") {
      left = waiting.length
      take()
      return false
    }
    if (state === "chunk") {
      if (!take()) return false
      state = "chunk-end"
      return true
    }
    const text = line()
    if (text === undefined) return false
    if (state === "trailers") return text !== "" || end()
    if (state === "chunk-end") state = "chunk-size"
    else {
      left = Number.parseInt(text, 16)
      state = left === 0 ? "trailers" : "chunk"
    }
    return true
  }
  return {
    push: (chunk: Buffer) => {
      waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk])
      while (waiting.length > 0 && step()) {}
    },
    /** The other side closed: only a body without any framing ends well by that. */
    close: () => {
      if (state === "until-close") end()
    }
  }
}
