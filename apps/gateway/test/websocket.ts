import { createHash } from "node:crypto"
import { connect, type Socket } from "node:net"
import { Effect } from "effect"
import { type Head, parse, value } from "./http1.ts"
import type { Behaviour, Received } from "./upstream.ts"

/** One frame of RFC 6455, section 5.2. */
export interface Frame {
  readonly fin: boolean
  readonly rsv: number
  readonly opcode: number
  readonly payload: Buffer
}

export const text = 1
export const binary = 2
export const close = 8
export const ping = 9
export const pong = 10

const mask = Buffer.from([1, 2, 3, 4])

const masked = (payload: Buffer) => Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)))

/** A frame's bytes; a client masks them. */
export const frame = (
  opcode: number,
  payload: string | Buffer = "",
  options: { readonly masks?: boolean; readonly fin?: boolean } = {}
) => {
  const body = Buffer.from(payload)
  const bit = options.masks === true ? 0x80 : 0
  const head =
    body.length < 126
      ? Buffer.from([0, bit | body.length])
      : body.length < 65_536
        ? Buffer.from([0, bit | 126, body.length >> 8, body.length & 255])
        : Buffer.concat([Buffer.from([0, bit | 127, 0, 0, 0, 0]), Buffer.alloc(4)])
  if (body.length >= 65_536) head.writeUInt32BE(body.length, 6)
  head[0] = (options.fin === false ? 0 : 0x80) | opcode
  return options.masks === true ? Buffer.concat([head, mask, masked(body)]) : Buffer.concat([head, body])
}

/** The payload of a close frame. */
export const closing = (code: number, reason = "") => {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return Buffer.concat([head, Buffer.from(reason)])
}

/** Code and reason of a close frame; `undefined` where it has none. */
export const closed = ({ payload }: Frame) =>
  payload.length < 2 ? undefined : ([payload.readUInt16BE(), payload.toString("utf8", 2)] as const)

/** Reads frames from a socket's bytes. */
export const makeReader = (take: (frame: Frame) => void) => {
  let waiting: Buffer = Buffer.alloc(0)
  const step = () => {
    if (waiting.length < 2) return false
    const [first = 0, second = 0] = waiting
    const short = second & 127
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
    const maskBytes = second & 128 ? 4 : 0
    const start = 2 + lengthBytes + maskBytes
    if (waiting.length < start) return false
    const length = short === 126 ? waiting.readUInt16BE(2) : short === 127 ? waiting.readUInt32BE(6) : short
    if (waiting.length < start + length) return false
    const key = waiting.subarray(start - 4, start)
    const raw = waiting.subarray(start, start + length)
    const payload =
      maskBytes === 0 ? Buffer.from(raw) : Buffer.from(raw.map((byte, index) => byte ^ (key[index % 4] ?? 0)))
    waiting = waiting.subarray(start + length)
    take({ fin: (first & 128) !== 0, rsv: (first >> 4) & 7, opcode: first & 15, payload })
    return true
  }
  return (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk])
    while (step()) {}
  }
}

const handshake = {
  Host: "gateway.test",
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="
}

const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/** The answer to a handshake. */
export const accept = (request: Head, ...headers: ReadonlyArray<string>) => {
  const proof = createHash("sha1")
    .update(`${value(request, "sec-websocket-key")}${magic}`)
    .digest("base64")
  return `${["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", `Sec-WebSocket-Accept: ${proof}`, ...headers].join("\r\n")}\r\n\r\n`
}

/** One end of a WebSocket over a socket whose handshake is over. */
export const make = (socket: Socket, masks: boolean, first: Buffer = Buffer.alloc(0)) => {
  const frames: Array<Frame> = []
  const read = makeReader((frame) => frames.push(frame))
  read(first)
  socket.on("data", read)
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()))
  return {
    socket,
    frames,
    ended,
    send: (opcode: number, payload: string | Buffer = "", fin = true) =>
      socket.write(frame(opcode, payload, { masks, fin })),
    /** Messages so far, as text. */
    texts: Effect.sync(() => frames.filter(({ opcode }) => opcode === text).map(({ payload }) => payload.toString()))
  }
}

export type End = ReturnType<typeof make>

/** Opens a WebSocket as a client; `end` is there once the head has come. `first` is sent with the handshake. */
export const open = (
  port: number,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  first: Buffer = Buffer.alloc(0)
) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly head: Head; readonly status: number; readonly body: Buffer; readonly end: End }>(
      (resume) => {
        const socket = connect(port, "127.0.0.1")
        const lines = Object.entries({ ...handshake, ...headers }).map(([name, content]) => `${name}: ${content}`)
        socket.write(Buffer.concat([Buffer.from(`GET ${target} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`), first]))
        let received = Buffer.alloc(0)
        const onData = (chunk: Buffer) => {
          received = Buffer.concat([received, chunk])
          const blank = received.indexOf("\r\n\r\n")
          if (blank === -1) return
          const head = parse(received.toString("latin1", 0, blank))
          const status = Number(head.line.split(" ")[1])
          const length = Number(value(head, "content-length") ?? 0)
          const body = received.subarray(blank + 4)
          if (status !== 101 && body.length < length) return
          socket.off("data", onData)
          resume(Effect.succeed({ head, status, body, end: make(socket, true, status === 101 ? body : undefined) }))
        }
        socket.on("data", onData)
        socket.on("error", () => {})
        socket.once("close", () => resume(Effect.die(new Error("closed in the handshake"))))
      }
    ),
    ({ end }) => Effect.sync(() => end.socket.destroy())
  )

/** The upstream's side: answers the handshake, and takes the other end. */
export const accepts =
  (take: (end: End, request: Received) => void = () => {}, ...headers: ReadonlyArray<string>): Behaviour =>
  (request) => {
    request.socket.removeAllListeners("data")
    request.socket.write(accept(request.head, ...headers))
    take(make(request.socket, false), request)
  }
