import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, causeOf } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

const setup = Effect.fnUntraced(function* (behaviour: Upstream.Behaviour) {
  const upstream = yield* Upstream.make(behaviour)
  const port = yield* Gateway.make({
    targets: [upstream.url],
    upstream: { health: "off", retry: { attempts: 1 } }
  })
  return { port, upstream }
})

/** Answers the first request of each connection, and ends the connection when another comes on it. */
const endsWhenUsedAgain = (): Upstream.Behaviour => {
  const used = new Set<unknown>()
  return (request) => {
    if (used.has(request.socket)) return void request.socket.destroy()
    used.add(request.socket)
    Upstream.echo(request)
  }
}

describe("A connection to a target that is kept", () => {
  it.live("is used again", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      for (let i = 0; i < 5; i++) assert.strictEqual((yield* ask(port, "/shop")).status, 200)
      assert.strictEqual(new Set(upstream.requests.map(({ socket }) => socket)).size, 1)
    })
  )

  it.live("is not where the target says that it ends it, or answers more than it was asked for", () =>
    Effect.gen(function* () {
      for (const bytes of [
        Upstream.answer("200 OK", ["Connection: close"], "a"),
        Upstream.answer("200 OK", ["Keep-Alive: timeout=1"], "a"),
        Buffer.from("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"),
        Buffer.concat([Upstream.answer("200 OK", [], "a"), Upstream.answer("200 OK", [], "b")])
      ]) {
        const { port, upstream } = yield* setup(({ socket, whole }) => void whole.then(() => socket.write(bytes)))
        for (let i = 0; i < 3; i++) assert.strictEqual((yield* ask(port, "/shop")).body.toString(), "a")
        assert.strictEqual(new Set(upstream.requests.map(({ socket }) => socket)).size, 3)
      }
    })
  )

  it.live("and ended just when it is used again costs no request that may run twice", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(endsWhenUsedAgain())
      for (let i = 0; i < 6; i++) {
        const answer = yield* ask(port, "/shop", { headers: { "X-Request-Id": `kept-${i}` } })
        assert.strictEqual(answer.status, 200)
      }
      const [target] = (yield* Gateway.shop(port)).targets
      assert.deepStrictEqual([target?.failures, target?.requests], [0, 6])
      assert.isAbove(upstream.requests.length, 6)
    })
  )

  it.live("and ended so says so where the request may not run twice", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(endsWhenUsedAgain())
      assert.strictEqual((yield* ask(port, "/shop", { method: "POST", body: "1" })).status, 200)
      const answer = yield* ask(port, "/shop", { method: "POST", body: "2" })
      assert.deepStrictEqual([answer.status, causeOf(answer)], [502, "upstream-reset"])
      assert.deepStrictEqual(
        upstream.requests.map((request) => request.body().toString()),
        ["1", "2"]
      )
    })
  )

  it.live("is not taken for a request that may not run twice once it has been idle", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      yield* ask(port, "/shop", { method: "POST", body: "1" })
      yield* Effect.sleep("1200 millis")
      yield* ask(port, "/shop", { method: "POST", body: "2" })
      assert.strictEqual(new Set(upstream.requests.map(({ socket }) => socket)).size, 2)
    })
  )

  it.live("is ended by the gateway when it has been idle for three seconds", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      yield* ask(port, "/shop")
      const closed = upstream.requests[0]?.closed ?? Promise.resolve()
      const isClosed = yield* Effect.raceFirst(
        Effect.as(
          Effect.promise(() => closed),
          true
        ),
        Effect.as(Effect.sleep("6 seconds"), false)
      )
      assert.isTrue(isClosed)
    })
  )
})
