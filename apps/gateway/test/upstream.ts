import { createServer, type Server, type Socket } from "node:net"
import { Effect, type Scope } from "effect"
import { type Head, makeReader, value } from "./http1.ts"

/** A request as it arrived at an upstream, byte for byte. */
export interface Received {
  readonly head: Head
  readonly method: string
  readonly target: string
  readonly socket: Socket
  /** Bytes of the body so far. */
  readonly bytes: () => number
  readonly body: () => Buffer
  /** The request has arrived whole. */
  readonly whole: Promise<void>
  /** The connection that it came on has ended. */
  readonly closed: Promise<void>
}

export type Behaviour = (request: Received) => void

export interface Upstream {
  readonly url: string
  readonly port: number
  readonly requests: ReadonlyArray<Received>
  /** Ends when the next request is there, and gives it. */
  readonly next: Effect.Effect<Received>
  /** What it does with requests from now on. */
  readonly become: (behaviour: Behaviour) => void
  /** Refuses connections, and cuts those that are open. */
  readonly stop: Effect.Effect<void>
  /** Listens again where it listened before. */
  readonly restart: Effect.Effect<void>
}

/** An answer's bytes: the head as given, and the body with its length unless the headers frame it. */
export const answer = (status: string, headers: ReadonlyArray<string> = [], body: string | Buffer = "") => {
  const framed = headers.some((line) => /^(content-length|transfer-encoding):/i.test(line))
  const length = framed ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  return Buffer.concat([
    Buffer.from(`${[`HTTP/1.1 ${status}`, ...headers, ...length].join("\r\n")}\r\n\r\n`, "latin1"),
    Buffer.from(body)
  ])
}

/** Answers when the request has arrived whole. */
export const replies =
  (status: string, headers: ReadonlyArray<string> = [], body: string | Buffer = ""): Behaviour =>
  (request) =>
    void request.whole.then(() => request.socket.write(answer(status, headers, body)))

/** Tells what arrived. */
export const echo: Behaviour = (request) =>
  void request.whole.then(() =>
    request.socket.write(
      answer(
        "200 OK",
        ["Content-Type: application/json"],
        JSON.stringify({ method: request.method, target: request.target, body: request.body().toString() })
      )
    )
  )

/** Takes the request and says nothing. */
export const hangs: Behaviour = () => {}

/** Writes as fast as the socket takes it, and no faster. */
export const pour = (socket: Socket, total: number, wrote: (bytes: number) => void = () => {}) => {
  const block = Buffer.alloc(65_536, "x")
  let left = total
  const go = () => {
    while (left > 0 && !socket.destroyed) {
      const chunk = block.subarray(0, Math.min(left, block.length))
      left -= chunk.length
      wrote(chunk.length)
      if (!socket.write(chunk)) return void socket.once("drain", go)
    }
  }
  go()
}

const listen = (server: Server, port: number, host: string) =>
  Effect.promise(
    () =>
      new Promise<number>((resolve, reject) => {
        server.once("error", reject)
        server.listen(port, host, () => {
          const address = server.address()
          resolve(typeof address === "object" && address !== null ? address.port : port)
        })
      })
  )

/** A server of the test that answers health checks well, and does with all other requests what it is told. */
export const make = (
  behaviour: Behaviour = echo,
  { host = "127.0.0.1", port: wanted = 0 }: { readonly host?: string; readonly port?: number } = {}
): Effect.Effect<Upstream, never, Scope.Scope> =>
  Effect.gen(function* () {
    let current = behaviour
    const requests: Array<Received> = []
    const sockets = new Set<Socket>()
    const waiting: Array<(request: Received) => void> = []

    const serve = (socket: Socket) => {
      sockets.add(socket)
      const closed = Promise.withResolvers<void>()
      // Of the request that is arriving; earlier ones of the connection keep theirs.
      let arriving = { bytes: 0, chunks: [] as Array<Buffer>, whole: Promise.withResolvers<void>() }
      const reader = makeReader({
        head: (head) => {
          const [method = "", target = ""] = head.line.split(" ")
          const body = { bytes: 0, chunks: [], whole: Promise.withResolvers<void>() }
          arriving = body
          const request: Received = {
            head,
            method,
            target,
            socket,
            bytes: () => body.bytes,
            body: () => Buffer.concat(body.chunks),
            whole: body.whole.promise,
            closed: closed.promise
          }
          if (target === "/health") socket.write(answer("200 OK", [], '{"status":"healthy"}'))
          else {
            requests.push(request)
            waiting.shift()?.(request)
            current(request)
          }
          return true
        },
        body: (chunk) => {
          if (arriving.bytes < 1_000_000) arriving.chunks.push(Buffer.from(chunk))
          arriving.bytes += chunk.length
        },
        end: () => arriving.whole.resolve()
      })
      socket.on("data", (chunk) => reader.push(chunk))
      socket.on("error", () => {})
      socket.on("close", () => {
        sockets.delete(socket)
        closed.resolve()
      })
    }

    let server = createServer(serve)
    const stop = Effect.promise(
      () =>
        new Promise<void>((resolve) => {
          server.close(() => resolve())
          for (const socket of sockets) socket.destroy()
        })
    )
    const port = yield* Effect.acquireRelease(listen(server, wanted, host), () => stop)
    return {
      url: `http://${host}:${port}`,
      port,
      requests,
      next: Effect.promise(() => new Promise<Received>((resolve) => waiting.push(resolve))),
      become: (next) => {
        current = next
      },
      stop,
      restart: Effect.suspend(() => {
        server = createServer(serve)
        return listen(server, port, host)
      })
    }
  })

export const headerOf = (request: Received, name: string) => value(request.head, name)
