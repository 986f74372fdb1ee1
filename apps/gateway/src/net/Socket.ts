/** What happens on a socket. `closed` may come from within `end`, `close` or `cut`. */
export interface SocketHandler {
  readonly data: (bytes: Buffer) => void
  /** All that waited has been taken by the system. */
  readonly drained: () => void
  /** The other end has ended or broken the connection (`isBroken`); nothing more can be sent. Called once, also after `end` and `cut`. */
  readonly closed: (isBroken: boolean) => void
}

/** A connection's bytes, in the same form on Bun and on Node. */
export interface Socket {
  readonly remoteAddress: string | undefined
  handler: SocketHandler
  /** Sends bytes, which are the socket's from then on. `false` where some wait for the other end: `drained` follows. */
  readonly write: (bytes: Buffer) => boolean
  /** The same for text, one byte a character, with bytes after it that stay the caller's. */
  readonly writeText: (text: string, bytes?: Buffer) => boolean
  /** Bytes that wait for the other end. */
  readonly waiting: () => number
  /** Ends our side when what waits has been taken; what the other end still sends is read. */
  readonly end: () => void
  /** Ends both sides when what waits has been taken. */
  readonly close: () => void
  /** Ends the connection at once by a reset, so that no one takes what has been sent for the whole. */
  readonly cut: () => void
  readonly pause: () => void
  readonly resume: () => void
}

/** Where a connection goes. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

export interface Connecting {
  /** The connection is there; it reads nothing before this has set its handler. */
  readonly opened: (socket: Socket) => void
  /** No connection was made. `code` is the system's, like `ECONNREFUSED`. */
  readonly failed: (code: string) => void
}

export interface Listening {
  readonly port: number
  /** Takes no more connections; those that are there stay. */
  readonly stop: () => void
}

/** Sockets of one runtime. */
export interface Sockets {
  /** Fails with the system's error where it cannot listen. */
  readonly listen: (host: string, port: number, accept: (socket: Socket) => void) => Promise<Listening>
  readonly connect: (address: Address, connecting: Connecting) => void
}

/** Until a handler is set. */
export const unhandled: SocketHandler = { data: () => {}, drained: () => {}, closed: () => {} }

/** Text, one byte a character, and bytes after it. */
export const joined = (text: string, bytes: Buffer | undefined) => {
  if (bytes === undefined) return Buffer.from(text, "latin1")
  const all = Buffer.allocUnsafe(text.length + bytes.length)
  all.write(text, "latin1")
  all.set(bytes, text.length)
  return all
}
