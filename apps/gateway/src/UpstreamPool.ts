import type { Address, Socket, Sockets } from "./net/Socket.ts"
import type { Ticker, Waiting } from "./Ticker.ts"
import { UpstreamConnection } from "./UpstreamConnection.ts"

/**
 * How long a connection is kept without a request where the server does not say how long it keeps it itself, and how much sooner
 * than the server says it is ended, so that both do not act at once; in milliseconds.
 */
const keepAlive = 4000
const margin = 1000

/**
 * A request that may not be sent twice goes only on a connection that was in use just now: one that is idle for longer may be
 * ended by the server at any moment.
 */
const surelyOpen = 1000

/** A request that waits for its connection. */
export interface Waiter {
  readonly connected: (connection: UpstreamConnection) => void
  readonly failed: (code: string) => void
  isCancelled: boolean
}

/** The connections to one target that are idle, the last one used first. */
export class UpstreamPool implements Waiting {
  dueAt = 0
  slot = -1
  readonly authority: string
  readonly #address: Address
  readonly #sockets: Sockets
  readonly #ticker: Ticker
  readonly #idle: Array<UpstreamConnection> = []

  /** `origin` is `http://host:port` or `https://host:port`. */
  constructor(origin: string, sockets: Sockets, ticker: Ticker) {
    const { host, hostname, port, protocol } = new URL(origin)
    const tls = protocol === "https:"
    this.authority = host
    this.#address = {
      host: hostname.replace(/^\[|\]$/g, ""),
      port: port === "" ? (tls ? 443 : 80) : Number(port),
      tls
    }
    this.#sockets = sockets
    this.#ticker = ticker
  }

  /** A connection that is there. */
  take(mayRepeat: boolean): UpstreamConnection | undefined {
    const connection = this.#idle.at(-1)
    if (connection === undefined) return undefined
    const idle = performance.now() - connection.idleSince
    if (idle > (mayRepeat ? connection.keepAliveMillis : Math.min(connection.keepAliveMillis, surelyOpen)))
      return undefined
    this.#idle.pop()
    return connection
  }

  connect(waiter: Waiter) {
    this.#sockets.connect(this.#address, {
      opened: (socket: Socket) => {
        const connection = new UpstreamConnection(socket, this, this.#ticker, keepAlive)
        if (waiter.isCancelled) this.put(connection)
        else waiter.connected(connection)
      },
      failed: (code) => {
        if (!waiter.isCancelled) waiter.failed(code)
      }
    })
  }

  put(connection: UpstreamConnection) {
    if (connection.keepAliveMillis <= margin) return connection.end()
    connection.idleSince = performance.now()
    this.#idle.push(connection)
    if (this.slot !== -1) return
    this.dueAt = connection.idleSince + margin
    this.#ticker.add(this)
  }

  remove(connection: UpstreamConnection) {
    const at = this.#idle.indexOf(connection)
    if (at !== -1) this.#idle.splice(at, 1)
  }

  /** Ends what has been idle for too long; the longest idle are first. */
  due(now: number) {
    for (const connection of [...this.#idle]) {
      if (now - connection.idleSince > connection.keepAliveMillis - margin) connection.end()
    }
    if (this.#idle.length === 0) this.#ticker.remove(this)
    else this.dueAt = now + margin
  }

  close() {
    this.#ticker.remove(this)
    for (const connection of [...this.#idle]) connection.end()
  }
}

/** The pools of all targets, by origin. */
export const make = (sockets: Sockets, ticker: Ticker) => {
  const pools = new Map<string, UpstreamPool>()
  return {
    of: (origin: string) => {
      const existing = pools.get(origin)
      if (existing !== undefined) return existing
      const pool = new UpstreamPool(origin, sockets, ticker)
      pools.set(origin, pool)
      return pool
    },
    close: () => {
      for (const pool of pools.values()) pool.close()
    }
  }
}
export type UpstreamPools = ReturnType<typeof make>
