import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Conversation, converse } from "./client.ts"
import * as Process from "./process.ts"
import * as Upstream from "./upstream.ts"
import * as WebSocket from "./websocket.ts"

/** Longer than the longest of the limits: a client that takes nothing is cut after one to two minutes. */
const watched = 130

/** Writes again and again, as long as the connection lives. */
const drips = (conversation: Conversation, bytes: string, everySeconds: number) => {
  const timer = setInterval(() => void conversation.socket.write(bytes), everySeconds * 1000)
  conversation.socket.once("close", () => clearInterval(timer))
  return conversation
}

/** Seconds until the connection ends; `undefined` where it is there after `watched`. */
const endsAfter = ({ socket }: { readonly socket: Pick<Conversation["socket"], "once"> }) =>
  Effect.callback<number | undefined>((resume) => {
    const started = performance.now()
    socket.once("close", () => resume(Effect.succeed(Math.round((performance.now() - started) / 1000))))
  }).pipe(Effect.timeoutOrElse({ duration: `${watched} seconds`, orElse: () => Effect.succeed(undefined) }))

const behaviour: Upstream.Behaviour = (request) => {
  if (request.target === "/shop/socket") return WebSocket.accepts()(request)
  if (request.target === "/shop/silent") return
  if (request.target === "/shop/events") {
    request.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    const timer = setInterval(() => void request.socket.write("3\r\n: \n\r\n"), 15_000)
    request.socket.once("close", () => clearInterval(timer))
    return
  }
  if (request.target === "/shop/large") {
    request.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    return Upstream.pour(request.socket, 1_000_000_000)
  }
  Upstream.echo(request)
}

const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`
const post = "POST /shop HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"

describe("A connection on which nothing, or too little, happens", () => {
  it.live("ends, and one that is in use does not", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make(behaviour)
      const { port } = yield* Process.start({
        upstreams: { shop: { targets: [upstream.url], health: "off", timeouts: { attempt: "10m", total: "10m" } } },
        routes: [{ name: "shop", path: "/shop", upstream: "shop" }]
      })
      const large = yield* converse(port, get("/shop/large"))
      large.socket.pause()
      // Node does not tell of the end of a socket that is not read; the upstream's connection ends with it.
      const pouring = yield* upstream.next
      const socket = yield* WebSocket.open(port, "/shop/socket")
      const connections = {
        silent: yield* converse(port, ""),
        "slow head": drips(yield* converse(port, "GET /shop HTTP/1.1\r\nX: "), "a", 1),
        "kept after an answer": yield* converse(port, get("/shop")),
        "stalled upload": yield* converse(port, `${post}abc`),
        "stalled upload in chunks": yield* converse(
          port,
          "POST /shop HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"
        ),
        "slow upload": drips(yield* converse(port, post), "a", 1),
        "upload of 16 KB a second": drips(yield* converse(port, post), "x".repeat(16_384), 1),
        "silent upstream": yield* converse(port, get("/shop/silent")),
        "stream with a heartbeat": yield* converse(port, get("/shop/events")),
        "client that does not read": pouring,
        "silent WebSocket": { ...large, socket: socket.end.socket }
      }
      const ended = yield* Effect.all(
        Object.fromEntries(Object.entries(connections).map(([name, connection]) => [name, endsAfter(connection)])),
        { concurrency: "unbounded" }
      )
      const ends = Object.entries(ended).flatMap(([name, seconds]) => (seconds === undefined ? [] : [name]))
      assert.deepStrictEqual(
        ends.sort(),
        [
          "client that does not read",
          "kept after an answer",
          "silent",
          "slow head",
          "stalled upload",
          "stalled upload in chunks"
        ],
        JSON.stringify(ended)
      )
    })
  )
})
