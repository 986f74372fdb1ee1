import { connect, createServer, type Socket as NetSocket } from "node:net"
import { connect as connectTls } from "node:tls"
import { joined, type Socket, type SocketHandler, type Sockets, unhandled } from "./Socket.ts"

class NodeSocket implements Socket {
  handler: SocketHandler = unhandled
  readonly #socket: NetSocket
  #isBroken = false
  #isClosed = false

  constructor(socket: NetSocket) {
    this.#socket = socket
    socket.on("data", (bytes: Buffer) => this.handler.data(bytes))
    socket.on("drain", () => this.handler.drained())
    socket.on("end", () => this.#close())
    socket.on("error", () => {
      this.#isBroken = true
    })
    socket.on("close", () => this.#close())
  }

  get remoteAddress() {
    return this.#socket.remoteAddress
  }

  write(bytes: Buffer) {
    return this.#socket.writable ? this.#socket.write(bytes) : true
  }

  writeText(text: string, bytes?: Buffer) {
    return this.write(joined(text, bytes))
  }

  waiting() {
    return this.#socket.writableLength
  }

  end() {
    this.#socket.end()
  }

  close() {
    this.#socket.destroySoon()
  }

  cut() {
    this.#socket.resetAndDestroy()
  }

  pause() {
    this.#socket.pause()
  }

  resume() {
    this.#socket.resume()
  }

  #close() {
    if (this.#isClosed) return
    this.#isClosed = true
    this.handler.closed(this.#isBroken)
  }
}

export const sockets: Sockets = {
  listen: (host, port, accept) =>
    new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true }, (socket) => accept(new NodeSocket(socket)))
      server.once("error", reject)
      server.listen(port, host, () => {
        server.off("error", reject)
        // One connection that cannot be taken, for want of open files, is no reason to end.
        server.on("error", () => {})
        const address = server.address()
        resolve({
          port: typeof address === "object" && address !== null ? address.port : port,
          stop: () => void server.close()
        })
      })
    }),
  connect: ({ host, port, tls }, { failed, opened }) => {
    const socket = tls
      ? connectTls({ host, port, servername: host, ALPNProtocols: ["http/1.1"] })
      : connect({ host, port, noDelay: true })
    const fail = (error: unknown) => {
      socket.destroy()
      failed(typeof error === "object" && error !== null && "code" in error ? String(error.code) : "failed")
    }
    socket.once("error", fail)
    socket.once(tls ? "secureConnect" : "connect", () => {
      socket.off("error", fail)
      opened(new NodeSocket(socket))
    })
  }
}
