import { joined, type Socket, type SocketHandler, type Sockets, unhandled } from "./Socket.ts"

/**
 * What is written next, put together: to make a buffer for each piece costs more than to write it. The system takes it at once,
 * or what is left of it is copied.
 */
const scratch = Buffer.alloc(64 * 1024)

/** Bun's socket takes what the system takes, and leaves the rest to us. */
class BunSocket implements Socket {
  handler: SocketHandler = unhandled
  readonly #socket: Bun.Socket<BunSocket>
  #waiting: Array<Buffer> = []
  #ending: "end" | "close" | undefined
  #isClosed = false

  constructor(socket: Bun.Socket<BunSocket>) {
    this.#socket = socket
  }

  get remoteAddress() {
    return this.#socket.remoteAddress
  }

  write(bytes: Buffer) {
    if (this.#waiting.length > 0) {
      this.#waiting.push(bytes)
      return false
    }
    const written = this.#socket.write(bytes)
    // Less than nothing: it is closed, and `closed` tells.
    if (written === bytes.length || written < 0) return true
    this.#waiting.push(bytes.subarray(written))
    return false
  }

  writeText(text: string, bytes?: Buffer) {
    const size = text.length + (bytes?.length ?? 0)
    if (this.#waiting.length > 0 || size > scratch.length) return this.write(joined(text, bytes))
    scratch.write(text, "latin1")
    if (bytes !== undefined) scratch.set(bytes, text.length)
    const written = this.#socket.write(scratch, 0, size)
    if (written === size || written < 0) return true
    this.#waiting.push(Buffer.from(scratch.subarray(written, size)))
    return false
  }

  waiting() {
    return this.#waiting.reduce((sum, { length }) => sum + length, 0)
  }

  end() {
    this.#ending = "end"
    this.#finish()
  }

  close() {
    this.#ending = "close"
    this.#finish()
  }

  cut() {
    this.#waiting = []
    this.#socket.terminate()
  }

  pause() {
    this.#socket.pause()
  }

  resume() {
    this.#socket.resume()
  }

  drain() {
    const waiting = this.#waiting
    for (let at = 0; at < waiting.length; at++) {
      const bytes = waiting[at]
      if (bytes === undefined) break
      const written = this.#socket.write(bytes)
      if (written === bytes.length) continue
      this.#waiting = waiting.slice(at)
      if (written > 0) this.#waiting[0] = bytes.subarray(written)
      return
    }
    this.#waiting = []
    if (this.#ending !== undefined) this.#finish()
    else if (waiting.length > 0) this.handler.drained()
  }

  #finish() {
    if (this.#waiting.length > 0) return
    if (this.#ending === "end") this.#socket.shutdown()
    else this.#socket.end()
  }

  closed(isBroken: boolean) {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#waiting = []
    this.handler.closed(isBroken)
  }
}

/** The same functions for all sockets. */
const handlers: Bun.SocketHandler<BunSocket> = {
  data: (socket, bytes) => socket.data.handler.data(bytes),
  drain: (socket) => socket.data.drain(),
  end: (socket) => socket.data.closed(false),
  close: (socket, error) => socket.data?.closed(error !== undefined),
  error: (socket) => socket.data?.closed(true)
}

export const sockets: Sockets = {
  listen: async (hostname, port, accept) => {
    const listener = Bun.listen<BunSocket>({
      hostname,
      port,
      // Otherwise a second process could listen on the same port.
      exclusive: true,
      socket: {
        ...handlers,
        open: (socket) => {
          socket.data = new BunSocket(socket)
          socket.setNoDelay(true)
          accept(socket.data)
        }
      }
    })
    return { port: listener.port, stop: () => listener.stop(false) }
  },
  connect: ({ host, port, tls }, { failed, opened }) => {
    let isSettled = false
    const fail = (error: unknown) => {
      if (isSettled) return
      isSettled = true
      failed(typeof error === "object" && error !== null && "code" in error ? String(error.code) : "failed")
    }
    const settle = (socket: BunSocket) => {
      if (isSettled) return
      isSettled = true
      opened(socket)
    }
    Bun.connect<BunSocket>({
      hostname: host,
      port,
      ...(tls ? { tls: { serverName: host, rejectUnauthorized: true } } : {}),
      socket: {
        ...handlers,
        open: (socket) => {
          socket.data = new BunSocket(socket)
          socket.setNoDelay(true)
          if (!tls) settle(socket.data)
        },
        // Nothing is sent before it is known who is there.
        ...(tls
          ? {
              handshake: (socket, isAuthorized, error) => {
                if (isAuthorized && error === null) return settle(socket.data)
                fail(error)
                socket.terminate()
              }
            }
          : {}),
        close: (socket, error) => {
          fail(error)
          handlers.close?.(socket, error)
        },
        connectError: (_, error) => fail(error)
      }
    }).catch(fail)
  }
}
