import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, converse, open } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Process from "./process.ts"
import * as Upstream from "./upstream.ts"

const gigabyte = 1_000_000_000
const warmUp = 300_000_000
const mebibyte = 1024 * 1024
const most = 64 * mebibyte

const told = (what: string, growth: number, seconds?: number) =>
  console.log(
    `${what}: ${Math.round(growth / mebibyte)} MiB more${seconds === undefined ? "" : `, ${Math.round(seconds)} s`}`
  )

const setup = Effect.fnUntraced(function* (behaviour: Upstream.Behaviour) {
  const upstream = yield* Upstream.make(Upstream.echo)
  const gateway = yield* Process.start({
    upstreams: { shop: { targets: [upstream.url], health: "off" } },
    routes: [{ name: "shop", path: "/shop", upstream: "shop" }]
  })
  // Warm, so that what is measured is what grows with the bytes, and not the heap that a runtime takes once for buffers.
  const idle = gateway.memory().now
  for (let i = 0; i < 500; i++) yield* ask(gateway.port, "/shop", { method: "POST", body: "x".repeat(10_000) })
  upstream.become((request) => {
    request.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${warmUp}\r\n\r\n`)
    Upstream.pour(request.socket, warmUp)
  })
  const first = yield* open(gateway.port, "/shop")
  yield* Effect.promise(() => first.done)
  upstream.become(behaviour)
  const { now, peak } = gateway.memory()
  told("warm-up", peak - idle)
  gateway.forgetPeak()
  return { gateway, upstream, growth: () => gateway.memory().peak - now }
})

/** Writes bytes in chunks of the wire as fast as they are taken. */
const pourChunked = (socket: Socket, total: number) => {
  const payload = Buffer.alloc(65_536, "x")
  const block = Buffer.concat([Buffer.from("10000\r\n"), payload, Buffer.from("\r\n")])
  let left = total
  const go = () => {
    while (left > 0 && !socket.destroyed) {
      left -= payload.length
      if (!socket.write(block)) return void socket.once("drain", go)
    }
    socket.write("0\r\n\r\n")
  }
  go()
}

const pour = {
  "Content-Length": (socket: Socket) => Upstream.pour(socket, gigabyte),
  "Transfer-Encoding": (socket: Socket) => pourChunked(socket, gigabyte)
}
const framings = { "Content-Length": String(gigabyte), "Transfer-Encoding": "chunked" }
const framingNames = ["Content-Length", "Transfer-Encoding"] as const

/** Takes bytes from a socket at a rate, in bytes a second, by pausing it. */
const throttle = (socket: Socket, rate: number) => {
  const started = performance.now()
  let taken = 0
  socket.on("data", (chunk: Buffer) => {
    taken += chunk.length
    const ahead = (taken / rate) * 1000 - (performance.now() - started)
    if (ahead < 5) return
    socket.pause()
    setTimeout(() => socket.resume(), ahead)
  })
}

describe("The memory of the gateway stays flat", () => {
  for (const framing of framingNames) {
    it.live(`while a gigabyte comes down: ${framing}`, () =>
      Effect.gen(function* () {
        const { gateway, growth } = yield* setup((request) => {
          request.socket.write(`HTTP/1.1 200 OK\r\n${framing}: ${framings[framing]}\r\n\r\n`)
          pour[framing](request.socket)
        })
        const started = performance.now()
        const client = yield* open(gateway.port, "/shop")
        yield* Effect.promise(() => client.done)
        assert.isTrue(client.complete())
        assert.isAtLeast(client.bytes(), gigabyte)
        told(`down, ${framing}`, growth(), (performance.now() - started) / 1000)
        assert.isBelow(growth(), most)
      })
    )

    it.live(`while a gigabyte goes up: ${framing}`, () =>
      Effect.gen(function* () {
        const { gateway, growth, upstream } = yield* setup(
          (request) =>
            void request.whole.then(() => request.socket.write(Upstream.answer("200 OK", [], String(request.bytes()))))
        )
        const started = performance.now()
        const client = yield* converse(
          gateway.port,
          `POST /shop HTTP/1.1\r\nHost: a\r\n${framing}: ${framings[framing]}\r\n\r\n`
        )
        pour[framing](client.socket)
        yield* Effect.promise(() => client.done)
        assert.isAtLeast(Number(client.received()), gigabyte)
        assert.lengthOf(upstream.requests, 502)
        told(`up, ${framing}`, growth(), (performance.now() - started) / 1000)
        assert.isBelow(growth(), most)
      })
    )
  }

  it.live("while a client takes 2 MB a second of a gigabyte", () =>
    Effect.gen(function* () {
      let written = 0
      const { gateway, growth } = yield* setup((request) => {
        written = 0
        request.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${gigabyte}\r\n\r\n`)
        Upstream.pour(request.socket, gigabyte, (bytes) => {
          written += bytes
        })
      })
      const client = yield* open(gateway.port, "/shop")
      throttle(client.socket, 2_000_000)
      yield* Effect.sleep("30 seconds")
      told("down, slow client", growth())
      assert.isBelow(growth(), most)
      assert.isAbove(client.bytes(), 30_000_000)
      // What the upstream has written beyond that waits in the buffers of sockets.
      assert.isBelow(written - client.bytes(), 40_000_000)
    })
  )

  it.live("while an upstream takes 2 MB a second of a gigabyte", () =>
    Effect.gen(function* () {
      let sent = 0
      const { gateway, growth, upstream } = yield* setup((request) => throttle(request.socket, 2_000_000))
      const client = yield* open(gateway.port, "/shop", {
        method: "POST",
        headers: { "Content-Length": String(gigabyte) }
      })
      Upstream.pour(client.socket, gigabyte, (bytes) => {
        sent += bytes
      })
      yield* Effect.sleep("30 seconds")
      told("up, slow upstream", growth())
      assert.isBelow(growth(), most)
      const received = upstream.requests.at(-1)?.bytes() ?? 0
      assert.isAbove(received, 30_000_000)
      assert.isBelow(sent - received, 40_000_000)
    })
  )

  it.live("with 500 streams of events open, and goes back when their clients have left", () =>
    Effect.gen(function* () {
      const { gateway, growth, upstream } = yield* setup((request) =>
        request.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
      )
      const clients = yield* Effect.forEach(Array.from({ length: 500 }), () => open(gateway.port, "/shop/events"), {
        concurrency: 50
      })
      for (const client of clients) yield* Gateway.eventually(Effect.sync(client.bytes), (bytes) => bytes === 9)
      told("500 streams of events", growth())
      assert.isBelow(growth(), most)
      for (const client of clients) client.socket.destroy()
      for (const request of upstream.requests.slice(501)) yield* Effect.promise(() => request.closed)
    })
  )
})
