import type { Socket } from "./net/Socket.ts"

/** An end that does not take what is left for it is cut after this time, in milliseconds. */
const closeTimeout = 10_000

/**
 * Passes bytes from one socket to the other and back, as fast as each takes them, until one has ended: the other is ended when
 * what came before is sent. `ended` is called then, with the bytes that the client was sent.
 */
export const join = (client: Socket, upstream: Socket, ended: (sent: number) => void) => {
  let sent = 0
  let isOpen = true
  const end = (other: Socket) => {
    if (!isOpen) return
    isOpen = false
    ended(sent)
    other.close()
    setTimeout(() => other.cut(), closeTimeout).unref()
  }
  client.handler = {
    data: (bytes) => {
      if (!upstream.write(bytes)) client.pause()
    },
    drained: () => upstream.resume(),
    closed: () => end(upstream)
  }
  upstream.handler = {
    data: (bytes) => {
      sent += bytes.length
      if (!client.write(bytes)) upstream.pause()
    },
    drained: () => client.resume(),
    closed: () => end(client)
  }
}
