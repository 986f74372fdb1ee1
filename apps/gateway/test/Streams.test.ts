import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { ask, open } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

const setup = Effect.fnUntraced(function* (behaviour: Upstream.Behaviour) {
  const upstream = yield* Upstream.make(behaviour)
  const port = yield* Gateway.make({ targets: [upstream.url] })
  return { port, upstream, arrives: yield* Effect.forkChild(upstream.next, { startImmediately: true }) }
})

const inTime = (what: Promise<unknown>) =>
  Effect.promise(() => what).pipe(
    Effect.timeoutOrElse({ duration: "3 seconds", orElse: () => Effect.die(new Error("did not happen in time")) })
  )

const idle = (port: number) =>
  Gateway.eventually(Gateway.shop(port), ({ targets }) => targets.every((target) => target.inFlight === 0))

/** Where a count comes to rest: nothing more is written once all buffers on the way are full. */
const settles = Effect.fnUntraced(function* (count: () => number) {
  let before = -1
  return yield* Gateway.eventually(
    Effect.delay(Effect.sync(count), "300 millis"),
    (now) => {
      const still = now === before
      before = now
      return still
    },
    "10 seconds"
  )
})

const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

describe("A stream of events", () => {
  it.live("arrives event by event", () =>
    Effect.gen(function* () {
      const { arrives, port } = yield* setup((request) =>
        request.socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
      )
      const client = yield* open(port, "/shop/events", { headers: { Accept: "text/event-stream" } })
      const { socket } = yield* Fiber.join(arrives)
      for (const event of ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]) {
        // The next event is sent when the one before has arrived: nothing waits for more.
        socket.write(chunk(event))
        yield* Gateway.eventually(
          Effect.sync(() => client.received().toString()),
          (text) => text.endsWith(event)
        )
      }
      assert.isFalse(client.complete())
      socket.write("0\r\n\r\n")
      yield* inTime(client.done)
      assert.deepStrictEqual([client.bytes(), client.complete()], [27, true])
    })
  )

  it.live("has its head as soon as the upstream has sent it", () =>
    Effect.gen(function* () {
      const { port } = yield* setup((request) =>
        request.socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
      )
      const client = yield* open(port, "/shop/events")
      yield* inTime(client.head)
      assert.strictEqual(client.bytes(), 0)
    })
  )

  it.live("is one of hundreds, and others are answered meanwhile", () =>
    Effect.gen(function* () {
      const count = 400
      const { port, upstream } = yield* setup((request) =>
        request.socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk("data: 1\n\n")}`)
      )
      const clients = yield* Effect.forEach(Array.from({ length: count }), () => open(port, "/shop/events"), {
        concurrency: 20
      })
      for (const client of clients) yield* Gateway.eventually(Effect.sync(client.bytes), (bytes) => bytes === 9)
      upstream.become(Upstream.echo)
      assert.strictEqual((yield* ask(port, "/shop/other")).status, 200)
    })
  )
})

describe("A client that leaves", () => {
  it.live("before the head cancels the upstream's work, and counts against nobody", () =>
    Effect.gen(function* () {
      const { arrives, port, upstream } = yield* setup(Upstream.hangs)
      const client = yield* open(port, "/shop")
      const request = yield* Fiber.join(arrives)
      client.socket.destroy()
      yield* inTime(request.closed)
      yield* idle(port)
      for (let i = 0; i < 5; i++) {
        const next = yield* Effect.forkChild(upstream.next, { startImmediately: true })
        const another = yield* open(port, "/shop")
        const { closed } = yield* Fiber.join(next)
        another.socket.destroy()
        yield* inTime(closed)
      }
      const { circuit, targets } = yield* idle(port)
      assert.deepStrictEqual([circuit.state, circuit.consecutiveFailures, targets[0]?.failures], ["closed", 0, 0])
    })
  )

  it.live("in the middle of a body cancels the upstream's work", () =>
    Effect.gen(function* () {
      const { arrives, port } = yield* setup((request) => {
        request.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        Upstream.pour(request.socket, 1_000_000_000)
      })
      const client = yield* open(port, "/shop")
      const request = yield* Fiber.join(arrives)
      yield* Gateway.eventually(Effect.sync(client.bytes), (bytes) => bytes > 100_000)
      client.socket.destroy()
      yield* inTime(request.closed)
    })
  )

  it.live("in the middle of a stream that is silent at the moment cancels it", () =>
    Effect.gen(function* () {
      const { arrives, port } = yield* setup((request) =>
        request.socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk("data: 1\n\n")}`)
      )
      const client = yield* open(port, "/shop")
      const request = yield* Fiber.join(arrives)
      yield* Gateway.eventually(Effect.sync(client.bytes), (bytes) => bytes > 0)
      client.socket.destroy()
      yield* inTime(request.closed)
    })
  )

  it.live("in the middle of its upload ends the upstream's request", () =>
    Effect.gen(function* () {
      const { arrives, port } = yield* setup(Upstream.hangs)
      const client = yield* open(port, "/shop", { method: "POST", headers: { "Content-Length": "1000000" } })
      client.socket.write(Buffer.alloc(100_000))
      const request = yield* Fiber.join(arrives)
      yield* Gateway.eventually(Effect.sync(request.bytes), (bytes) => bytes === 100_000)
      client.socket.destroy()
      yield* inTime(request.closed)
      const { circuit } = yield* idle(port)
      assert.strictEqual(circuit.consecutiveFailures, 0)
    })
  )

  it.live("in the middle of an upload in chunks does not make it look whole", () =>
    Effect.gen(function* () {
      const { arrives, port } = yield* setup(Upstream.echo)
      const client = yield* open(port, "/shop", { method: "POST", headers: { "Transfer-Encoding": "chunked" } })
      client.socket.write(chunk("half of it"))
      const request = yield* Fiber.join(arrives)
      yield* Gateway.eventually(Effect.sync(request.bytes), (bytes) => bytes === 10)
      client.socket.destroy()
      const whole = yield* Effect.raceFirst(
        Effect.as(inTime(request.closed), false),
        Effect.as(inTime(request.whole), true)
      )
      assert.isFalse(whole)
    })
  )
})

describe("An upstream that breaks off", () => {
  const endings = [
    ["ends", (request: Upstream.Received) => request.socket.end()],
    ["is reset", (request: Upstream.Received) => request.socket.resetAndDestroy()]
  ] as const
  const framings = [
    ["a short body with its length", "Content-Length: 20\r\n\r\n", "0123456789"],
    ["a long body with its length", "Content-Length: 5000000\r\n\r\n", "x".repeat(1_000_000)],
    ["a body in chunks", "Transfer-Encoding: chunked\r\n\r\n", chunk("0123456789")],
    ["a chunk", "Transfer-Encoding: chunked\r\n\r\n", "14\r\n0123456789"]
  ] as const
  for (const [ending, end] of endings) {
    for (const [what, head, part] of framings) {
      it.live(`in the middle of ${what} cuts the client when its connection ${ending}`, () =>
        Effect.gen(function* () {
          const { arrives, port } = yield* setup((request) => request.socket.write(`HTTP/1.1 200 OK\r\n${head}${part}`))
          const client = yield* open(port, "/shop")
          const request = yield* Fiber.join(arrives)
          // Also what has passed on already is cut, not only what the gateway still holds.
          yield* inTime(client.head).pipe(Effect.raceFirst(Effect.sleep("200 millis")))
          end(request)
          yield* inTime(client.done)
          assert.isFalse(client.complete())
        })
      )
    }
  }
})

describe("An upstream that answers early", () => {
  it.live("is heard although the upload is not over", () =>
    Effect.gen(function* () {
      const { port } = yield* setup((request) =>
        request.socket.end(Upstream.answer("413 Too Large", ["Connection: close"], "too large"))
      )
      const client = yield* open(port, "/shop", { method: "POST", headers: { "Content-Length": "100000000" } })
      client.socket.write(Buffer.alloc(1000))
      const head = yield* Effect.promise(() => client.head)
      assert.include(head.line, "413")
    })
  )
})

describe("A slow client", () => {
  it.live("holds the upstream back", () =>
    Effect.gen(function* () {
      const size = 300_000_000
      let written = 0
      const { port } = yield* setup((request) => {
        request.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        Upstream.pour(request.socket, size, (bytes) => {
          written += bytes
        })
      })
      const client = yield* open(port, "/shop")
      yield* inTime(client.head)
      client.socket.pause()
      const before = yield* settles(() => written)
      assert.isBelow(before, 40_000_000)
      client.socket.resume()
      yield* Gateway.eventually(Effect.sync(client.bytes), (bytes) => bytes > before + 10_000_000)
    })
  )
})

describe("A slow upstream", () => {
  it.live("holds the client's upload back", () =>
    Effect.gen(function* () {
      const { arrives, port } = yield* setup((request) => request.socket.pause())
      const size = 300_000_000
      let sent = 0
      const client = yield* open(port, "/shop", { method: "POST", headers: { "Content-Length": String(size) } })
      Upstream.pour(client.socket, size, (bytes) => {
        sent += bytes
      })
      yield* Fiber.join(arrives)
      assert.isBelow(yield* settles(() => sent), 40_000_000)
    })
  )

  it.live("is asked by others at the same time", () =>
    Effect.gen(function* () {
      const { arrives, port, upstream } = yield* setup(Upstream.hangs)
      yield* open(port, "/shop")
      yield* Fiber.join(arrives)
      upstream.become(Upstream.echo)
      const answer = yield* ask(port, "/shop/other")
      assert.strictEqual(answer.status, 200)
    })
  )
})
