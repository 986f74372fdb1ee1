import { request } from "node:http"
import { alternate, type Started } from "./bench.ts"
import { percentile, table } from "./figures.ts"
import { openLoop } from "./openLoop.ts"
import { type Running, residentMB } from "./processes.ts"

const sockets = 1000
const messagesEach = 10
const perSecond = 1000
const path = "/api/files/echo"
const text = "x".repeat(64)

/** The status of the answer to a WebSocket's opening: 101 where it is carried. */
const opening = (port: number) =>
  new Promise<string>((resolve) => {
    const headers = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="
    }
    const asked = request({ host: "127.0.0.1", port, path, headers, timeout: 5000 })
    const end = (outcome: string) => {
      asked.destroy()
      resolve(outcome)
    }
    asked.once("upgrade", () => end("101"))
    asked.once("response", ({ statusCode }) => end(`answered ${statusCode}`))
    asked.once("timeout", () => end("no answer"))
    asked.once("error", ({ message }) => end(message))
    asked.end()
  })

interface Echo {
  readonly send: () => Promise<void>
  readonly close: () => void
}

const connect = (port: number) =>
  new Promise<Echo>((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`)
    // Answers come in the order of the messages.
    const waiting: Array<PromiseWithResolvers<void>> = []
    const send = () => {
      const answer = Promise.withResolvers<void>()
      waiting.push(answer)
      socket.send(text)
      return answer.promise
    }
    socket.onmessage = () => waiting.shift()?.resolve()
    socket.onopen = () => resolve({ send, close: () => socket.close() })
    socket.onclose = () => {
      const ended = new Error("WebSocket ended")
      reject(ended)
      for (const answer of waiting.splice(0)) answer.reject(ended)
    }
  })

const connectAll = async (port: number) => {
  const connected: Array<Echo> = []
  for (let made = 0; made < sockets; made += 50) {
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => connect(port)))
    for (const outcome of outcomes) if (outcome.status === "fulfilled") connected.push(outcome.value)
  }
  return connected
}

/** Whether a message comes back: a proxy may let a WebSocket open and carry nothing. */
const carries = async (port: number) => {
  const socket = await connect(port)
  const echo = socket.send().then(
    () => true,
    () => false
  )
  const echoed = await Promise.race([echo, Bun.sleep(3000).then(() => false)])
  socket.close()
  return echoed
}

const measure = async ({ name, port, proxy }: Pick<Started, "name" | "port" | "proxy">) => {
  const opened = await opening(port)
  if (opened !== "101") return [name, `not supported (${opened})`]
  if (!(await carries(port))) return [name, "not supported (carries nothing)"]
  const before = residentMB(proxy)
  const connected = await connectAll(port)
  const open = residentMB(proxy)
  // One after the other, so that each sends once a second.
  const seconds = (connected.length * messagesEach) / perSecond
  const { failed, latencies } = await openLoop(
    { perSecond, seconds },
    async (index) => await connected[index % connected.length]?.send()
  )
  const after = residentMB(proxy)
  for (const socket of connected) socket.close()
  return [
    name,
    `${connected.length} of ${sockets}`,
    percentile(latencies, 0.5).toFixed(2),
    percentile(latencies, 0.99).toFixed(2),
    String(failed),
    ...[before, open, after].map((megabytes) => megabytes.toFixed(1)),
    (((open - before) * 1024) / Math.max(1, connected.length)).toFixed(1)
  ]
}

/** WebSockets that all stay open, and the time that a message and its echo take. */
export const webSockets = async (
  started: ReadonlyArray<Started>,
  echo: { readonly port: number; readonly process: Running }
) => {
  const direct = { name: "direct", port: echo.port, proxy: echo.process }
  const results = await alternate([direct, ...started], 1, measure)
  table(
    `${sockets} WebSockets, ${messagesEach} messages of ${text.length} bytes each, ${perSecond} messages/s, once`,
    ["", "connected", "p50 ms", "p99 ms", "failed", "MB before", "open", "after", "KB/WebSocket"],
    [...results.values()].flat()
  )
}
