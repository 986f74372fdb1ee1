import { connect } from "node:net"
import { Effect } from "effect"

export interface RawAnswer {
  /** `undefined` when the connection ended, or nothing more came, without an answer. */
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Whether the server closed the connection before the answer was whole, and whether it did so with a reset. */
  readonly ended: "closed" | "reset" | "open"
}

const decodeChunked = (body: string) => {
  let rest = body
  let out = ""
  for (let size = Number.parseInt(rest, 16); size > 0; size = Number.parseInt(rest, 16)) {
    const start = rest.indexOf("\r\n") + 2
    out += rest.slice(start, start + size)
    rest = rest.slice(start + size + 2)
  }
  return out
}

const parse = (received: string, ended: RawAnswer["ended"]): RawAnswer => {
  const [head = "", ...rest] = received.split("\r\n\r\n")
  const [statusLine = "", ...lines] = head.split("\r\n")
  const status = /^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()])
  )
  const body = rest.join("\r\n\r\n")
  return {
    status: status === undefined ? undefined : Number(status),
    headers,
    body: headers["transfer-encoding"] === "chunked" ? decodeChunked(body) : body,
    ended
  }
}

const isWhole = ({ body, headers }: RawAnswer) => body.length === Number(headers["content-length"])

/**
 * Writes bytes to a new connection as they are, and gives what came back as soon as the answer is whole, or the server
 * closed the connection, or was silent for `silentMillis`.
 */
export const send = (port: number, pieces: string | Iterable<string | Uint8Array>, silentMillis = 2000) =>
  Effect.callback<RawAnswer>((resume) => {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true })
    const chunks: Array<Buffer> = []
    const answer = (ended: RawAnswer["ended"]) => parse(Buffer.concat(chunks).toString("latin1"), ended)
    const end = (ended: RawAnswer["ended"]) => {
      socket.destroy()
      resume(Effect.succeed(answer(ended)))
    }
    const iterator = (typeof pieces === "string" ? [Buffer.from(pieces, "latin1")] : pieces)[Symbol.iterator]()
    const write = () => {
      for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
        if (!socket.write(next.value)) return socket.once("drain", write)
      }
      return socket
    }
    socket.setTimeout(silentMillis, () => end("open"))
    socket.on("connect", write)
    socket.on("data", (chunk) => {
      chunks.push(chunk)
      if (isWhole(answer("open"))) end("open")
    })
    socket.on("end", () => end("closed"))
    socket.on("error", () => end("reset"))
    return Effect.sync(() => socket.destroy())
  })
