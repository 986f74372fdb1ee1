import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, causeOf, converse, header, open } from "./client.ts"
import * as Gateway from "./gateway.ts"
import { values } from "./http1.ts"
import * as Upstream from "./upstream.ts"

const setup = Effect.fnUntraced(function* (
  behaviour: Upstream.Behaviour,
  options: Partial<Omit<Gateway.Options, "targets">> = {}
) {
  const upstream = yield* Upstream.make(behaviour)
  return { upstream, port: yield* Gateway.make({ ...options, targets: [upstream.url] }) }
})

const inTime = <A>(what: Promise<A>) =>
  Effect.promise(() => what).pipe(
    Effect.timeoutOrElse({ duration: "4 seconds", orElse: () => Effect.die(new Error("did not happen in time")) })
  )

const chunk = (content: string | Buffer) =>
  Buffer.concat([
    Buffer.from(`${Buffer.byteLength(content).toString(16)}\r\n`),
    Buffer.from(content),
    Buffer.from("\r\n")
  ])

const chunkedHead = "POST /shop HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

describe("A body in chunks", () => {
  it.live("goes up chunk by chunk, and stays without a length", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      const client = yield* converse(port, chunkedHead)
      const parts = ["one ", "two ", "x".repeat(100_000), " end"]
      for (const [index, part] of parts.entries()) {
        client.socket.write(chunk(part))
        const soFar = parts.slice(0, index + 1).join("")
        // The next chunk is sent when the one before has arrived: nothing waits for the whole.
        yield* Gateway.eventually(
          Effect.sync(() => upstream.requests[0]?.body().toString()),
          (text) => text === soFar
        )
      }
      client.socket.write("0\r\n\r\n")
      yield* inTime(client.done)
      const [received] = upstream.requests
      assert.isDefined(received)
      if (received === undefined) return
      assert.deepStrictEqual(values(received.head, "transfer-encoding"), ["chunked"])
      assert.deepStrictEqual(values(received.head, "content-length"), [])
      assert.strictEqual(received.bytes(), parts.join("").length)
    })
  )

  it.live("that is empty is empty, with one framing at the most", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      const client = yield* converse(port, `${chunkedHead}0\r\n\r\n`)
      yield* inTime(client.done)
      assert.isTrue(client.complete())
      const [received] = upstream.requests
      assert.strictEqual(received?.bytes(), 0)
      if (received === undefined) return
      const framings = [...values(received.head, "content-length"), ...values(received.head, "transfer-encoding")]
      assert.isAtMost(framings.length, 1)
    })
  )

  it.live("comes down as it is, with or without a length that is known", () =>
    Effect.gen(function* () {
      const { port } = yield* setup((request) => {
        request.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for (const part of ["one ", "two ", "x".repeat(300_000)]) request.socket.write(chunk(part))
        request.socket.write("0\r\n\r\n")
      })
      const answer = yield* ask(port, "/shop")
      assert.deepStrictEqual([answer.body.toString(), answer.complete], [`one two ${"x".repeat(300_000)}`, true])
    })
  )

  it.live("may have fields after it, which are left out", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      const client = yield* converse(port, `${chunkedHead}5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n`)
      yield* Effect.promise(() => client.done).pipe(Effect.raceFirst(Effect.sleep("1 second")))
      for (const { head } of upstream.requests) assert.deepStrictEqual(values(head, "x-sum"), [])
      assert.deepStrictEqual(
        upstream.requests.map((request) => request.body().toString()),
        ["hello"]
      )
      assert.isTrue(client.complete())
    })
  )

  it.live("with GET goes up too", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      const answer = yield* ask(port, "/shop", { method: "GET", body: "a query" })
      assert.strictEqual(upstream.requests[0]?.body().toString(), "a query")
      assert.strictEqual(answer.status, 200)
    })
  )
})

describe("A body that is larger than its route takes", () => {
  const route = { maxBody: "100kB" }

  it.live("is refused by its length before anything goes up", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo, { route })
      const answer = yield* ask(port, "/shop", { method: "POST", body: "x".repeat(100_001) })
      assert.deepStrictEqual([answer.status, causeOf(answer), answer.json().limit], [413, "body-too-large", 100_000])
      assert.deepStrictEqual(upstream.requests, [])
      const taken = yield* ask(port, "/shop", { method: "POST", body: "x".repeat(100_000) })
      assert.strictEqual(taken.status, 200)
    })
  )

  it.live("is refused by its length although the client waits to be told to go on", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo, { route })
      const client = yield* converse(
        port,
        "POST /shop HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n"
      )
      const head = yield* inTime(client.head)
      assert.include(head.line, "413")
      assert.deepStrictEqual(upstream.requests, [])
    })
  )

  it.live("is refused in chunks, and the upstream gets no more than the limit, and never a whole request", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo, { route })
      const client = yield* converse(port, chunkedHead)
      for (let i = 0; i < 10; i++) client.socket.write(chunk(Buffer.alloc(9_000, 1)))
      yield* Gateway.eventually(
        Effect.sync(() => upstream.requests[0]?.bytes()),
        (bytes) => bytes === 90_000
      )
      for (let i = 0; i < 10; i++) client.socket.write(chunk(Buffer.alloc(9_000, 1)))
      const head = yield* inTime(client.head)
      assert.include(head.line, "413")
      yield* Gateway.eventually(
        Effect.sync(() => client.received().toString()),
        (text) => text.includes("urn:opsbuddy:problem:body-too-large")
      )
      const [request] = upstream.requests
      const whole = yield* Effect.raceFirst(
        Effect.as(inTime(request?.closed ?? Promise.resolve()), false),
        Effect.as(inTime(request?.whole ?? Promise.resolve()), true)
      )
      assert.isFalse(whole)
      assert.isAtMost(request?.bytes() ?? 0, 100_000)
      // It is the client's fault, not the upstream's.
      const { circuit } = yield* Gateway.shop(port)
      assert.strictEqual(circuit.consecutiveFailures, 0)
    })
  )

  it.live("is taken in chunks up to the limit", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo, { route })
      const parts = Array.from({ length: 10 }, () => chunk(Buffer.alloc(10_000, 1)))
      const client = yield* converse(
        port,
        Buffer.concat([Buffer.from(chunkedHead), ...parts, Buffer.from("0\r\n\r\n")])
      )
      yield* inTime(client.done)
      assert.isTrue(client.complete())
      assert.strictEqual(upstream.requests[0]?.bytes(), 100_000)
    })
  )
})

describe("An upstream that breaks off in the middle of an upload", () => {
  for (const [how, end] of [
    ["ends", (request: Upstream.Received) => request.socket.end()],
    ["is reset", (request: Upstream.Received) => request.socket.resetAndDestroy()]
  ] as const) {
    for (const framing of ["Content-Length: 50000000", "Transfer-Encoding: chunked"]) {
      it.live(`is told of to the client when its connection ${how}: ${framing}`, () =>
        Effect.gen(function* () {
          const { port, upstream } = yield* setup((request) => {
            setTimeout(() => end(request), 100)
          })
          const client = yield* converse(port, `POST /shop HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`)
          const part = Buffer.alloc(500_000, 1)
          client.socket.write(framing.startsWith("Transfer") ? chunk(part) : part)
          const head = yield* inTime(client.head)
          assert.include(head.line, "502")
          yield* Gateway.eventually(
            Effect.sync(() => client.received().toString()),
            (text) => text.includes("urn:opsbuddy:problem:upstream-reset")
          )
          assert.lengthOf(upstream.requests, 1)
        })
      )
    }
  }
})

describe("A body whose first target refuses connections", () => {
  for (const framing of ["length", "chunks", "chunks and a limit"] as const) {
    it.live(`goes whole to the next one, with its ${framing}`, () =>
      Effect.gen(function* () {
        const gone = yield* Effect.scoped(Effect.map(Upstream.make(), ({ url }) => url))
        const upstream = yield* Upstream.make(Upstream.echo)
        const port = yield* Gateway.make({
          targets: [gone, upstream.url],
          upstream: { health: "off" },
          ...(framing === "chunks and a limit" ? { route: { maxBody: "1MB" } } : {})
        })
        const body = "x".repeat(200_000)
        // In turn, so that one of the two meets the target that is gone first.
        for (let i = 0; i < 2; i++) {
          const bytes =
            framing === "length"
              ? `POST /shop HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`
              : Buffer.concat([Buffer.from(chunkedHead), chunk(body), Buffer.from("0\r\n\r\n")])
          const client = yield* converse(port, bytes)
          const head = yield* inTime(client.head)
          assert.include(head.line, "200")
        }
        assert.deepStrictEqual(
          upstream.requests.map((request) => request.bytes()),
          [body.length, body.length]
        )
        const [status] = (yield* Gateway.shop(port)).targets
        assert.strictEqual(status?.failures, 1)
      })
    )
  }
})

describe("An answer without a content type", () => {
  for (const framing of ["Content-Length: 2\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"]) {
    it.live(`stays without one: ${framing.slice(0, 14)}`, () =>
      Effect.gen(function* () {
        const { port } = yield* setup((request) => request.socket.write(`HTTP/1.1 200 OK\r\n${framing}`))
        const answer = yield* ask(port, "/shop")
        assert.strictEqual(header(answer, "content-type"), undefined)
        assert.strictEqual(answer.body.toString(), "hi")
      })
    )
  }
})

describe("An answer that is silent for longer than its route waits", () => {
  it.live("is cut, and the account says why", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(
        (request) => request.socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`),
        { upstream: { timeouts: { idle: "300ms" } } }
      )
      const client = yield* open(port, "/shop", { headers: { "X-Request-Id": "silent-1" } })
      yield* inTime(client.done)
      assert.isFalse(client.complete())
      const [request] = upstream.requests
      yield* inTime(request?.closed ?? Promise.resolve())
      const account = yield* Gateway.eventually(
        ask(port, "/api/gateway/requests/silent-1"),
        ({ status }) => status === 200
      )
      assert.deepInclude(account.json().answer, {
        status: 200,
        cause: "upstream-timeout",
        detail: "no byte for 300 ms after 5 bytes of the body",
        responseBytes: 5
      })
    })
  )
})
