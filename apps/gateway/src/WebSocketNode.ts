import { STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { Call } from "./Call.ts"
import type { Onward } from "./Exchange.ts"
import { local, type NodeExchange, type NodeHead, upstreamHeaders } from "./ForwardNode.ts"
import type { Gateway } from "./Gateway.ts"
import type { Route } from "./Route.ts"
import type { MethodMismatch } from "./RouteTable.ts"
import type { Target } from "./Target.ts"

/** Takes the upstream's socket once the upgrade is agreed on. */
export type Upgraded = (socket: Duplex) => void

/** An end that does not take what is left for it is cut after this time, in milliseconds. */
const closeTimeout = 10_000

/** A head as bytes, for a socket that no server writes to. */
const headOf = (status: number, headers: Readonly<Record<string, string | Array<string>>>) => {
  const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}`))
  return `${[`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`, ...lines].join("\r\n")}\r\n\r\n`
}

/**
 * Takes a WebSocket to an upstream, under the policies of its route. From then on bytes go from socket to socket: subprotocols,
 * extensions and close codes are the two ends' own.
 */
export const forward = (
  gateway: Gateway["Service"],
  found: Route | MethodMismatch,
  exchange: NodeExchange,
  client: Duplex,
  early: Buffer
) => {
  let upstream: Duplex | undefined
  const isWebSocket = exchange.header("upgrade")?.toLowerCase() === "websocket"
  const opening = Object.create(exchange, {
    isWebSocket: { value: isWebSocket },
    abort: { value: () => exchange.abort() },
    discard: { value: (head: NodeHead) => exchange.discard(head) },
    send: {
      value: (target: Target, onward: Onward) =>
        exchange.send(target, onward, (socket) => {
          upstream = socket
        })
    }
  })
  const call: Call<NodeHead> = new Call(gateway, found, opening, (answer) => {
    queueMicrotask(() => {
      if (answer._tag !== "Head" || upstream === undefined) {
        if (answer._tag === "Head" || answer._tag === "Gone") return client.destroy()
        const { body, headers, status } = local(call, exchange, answer)
        const length = String(Buffer.byteLength(body))
        client.write(headOf(status, { ...headers, "content-length": length, connection: "close" }), "latin1")
        return client.end(body)
      }
      const headers = upstreamHeaders(call, exchange, answer.head)
      client.write(headOf(101, { ...headers, connection: "Upgrade", upgrade: "websocket" }), "latin1")
      join(call, client, upstream, early)
    })
  })
  client.on("error", () => client.destroy())
  client.once("close", () => call.clientGone())
}

const join = (call: Call<NodeHead>, client: Duplex, upstream: Duplex, early: Buffer) => {
  let sent = 0
  if (early.length > 0) upstream.write(early)
  upstream.on("data", (chunk: Buffer) => {
    sent += chunk.length
  })
  upstream.pipe(client)
  client.pipe(upstream)
  upstream.on("error", () => upstream.destroy())
  upstream.once("close", () => {
    call.ended(sent)
    // What has come from it is still to be delivered, to a client that takes it.
    client.end()
    setTimeout(() => client.destroy(), closeTimeout).unref()
  })
  client.once("close", () => {
    call.ended(sent)
    upstream.destroy()
  })
}
