/** A connection that carries one request at a time and is kept alive. */
export interface Connection {
  readonly isOpen: () => boolean
  /** The status of the answer, when all of the body is there; fails when the connection ends before. */
  readonly get: (path: string) => Promise<number>
  readonly close: () => void
}

/** The status of an answer that is complete, and `undefined` of one that is not. */
const complete = (answer: string) => {
  const head = answer.indexOf("\r\n\r\n")
  if (head === -1) return undefined
  const length = /\r\ncontent-length: *(\d+)/i.exec(answer.slice(0, head + 2))
  const all = length === null ? answer.endsWith("\r\n0\r\n\r\n") : answer.length >= head + 4 + Number(length[1])
  return all ? Number(answer.slice(9, 12)) : undefined
}

/** Connects to a port of this machine. Answers are read as a string of bytes: it is for small bodies. */
export const connect = async (port: number): Promise<Connection> => {
  let open = true
  let answer = ""
  let waiting: PromiseWithResolvers<number> | undefined
  const end = () => {
    open = false
    waiting?.reject(new Error("connection ended"))
    waiting = undefined
  }
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, data) => {
        answer += data.toString("latin1")
        const status = complete(answer)
        if (status === undefined) return
        answer = ""
        waiting?.resolve(status)
        waiting = undefined
      },
      close: end,
      error: end
    }
  })
  return {
    isOpen: () => open,
    get: (path) => {
      waiting = Promise.withResolvers<number>()
      socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
      return waiting.promise
    },
    close: () => socket.end()
  }
}
