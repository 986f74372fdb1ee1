import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { ask, causeOf, header, open } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

const behind = Effect.fnUntraced(function* (
  concurrency: { readonly max: number; readonly queue: number; readonly wait?: string },
  behaviour: Upstream.Behaviour = Upstream.hangs
) {
  const upstream = yield* Upstream.make(behaviour)
  return { upstream, port: yield* Gateway.make({ targets: [upstream.url], upstream: { concurrency, health: "off" } }) }
})

const load = (port: number) => Effect.map(Gateway.shop(port), ({ concurrency }) => concurrency)

const loadIs = (port: number, active: number, queued: number) =>
  Gateway.eventually(load(port), (now) => now.active === active && now.queued === queued)

/** Answers all requests that wait. */
const release = (upstream: Upstream.Upstream) => {
  upstream.become(Upstream.echo)
  for (const request of upstream.requests) Upstream.echo(request)
}

describe("An upstream that serves two requests at once while one waits", () => {
  it.live("has the next one refused at once, and serves those that it has", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind({ max: 2, queue: 1, wait: "10s" })
      const asked = yield* Effect.forkChild(
        Effect.forEach(Array(3), () => ask(port, "/shop"), { concurrency: 3 }),
        { startImmediately: true }
      )
      yield* loadIs(port, 2, 1)
      const refused = yield* ask(port, "/shop")
      assert.strictEqual(refused.status, 503)
      assert.strictEqual(header(refused, "retry-after"), "1")
      assert.deepInclude(refused.json(), {
        type: "urn:opsbuddy:problem:overloaded",
        upstream: "shop",
        retryAfter: 1,
        max: 2,
        queue: 1,
        detail: "2 of 2 requests in flight, and 1 of 1 wait"
      })
      assert.lengthOf(upstream.requests, 2)
      assert.strictEqual((yield* ask(port, "/health")).status, 200)
      assert.strictEqual((yield* ask(port, "/api/gateway/config")).status, 200)
      release(upstream)
      assert.deepStrictEqual(
        (yield* Fiber.join(asked)).map(({ status }) => status),
        [200, 200, 200]
      )
      yield* loadIs(port, 0, 0)
      assert.strictEqual((yield* load(port)).refused, 1)
    })
  )

  it.live("has one refused that has waited in vain", () =>
    Effect.gen(function* () {
      const { port } = yield* behind({ max: 1, queue: 5, wait: "200ms" })
      yield* open(port, "/shop")
      yield* loadIs(port, 1, 0)
      const start = performance.now()
      const answer = yield* ask(port, "/shop")
      assert.strictEqual(causeOf(answer), "overloaded")
      assert.match(String(answer.json().detail), /^1 of 1 requests in flight, and no place within 2\d\d ms$/)
      assert.isAtLeast(performance.now() - start, 195)
    })
  )

  it.live("keeps a place taken until the answer's body has ended", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind({ max: 1, queue: 0 }, (request) => {
        request.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
      })
      const streaming = yield* open(port, "/shop")
      yield* Effect.promise(() => streaming.head)
      assert.strictEqual(causeOf(yield* ask(port, "/shop")), "overloaded")
      upstream.requests[0]?.socket.write("0\r\n\r\n")
      yield* loadIs(port, 0, 0)
      upstream.become(Upstream.echo)
      assert.strictEqual((yield* ask(port, "/shop")).status, 200)
    })
  )
})

it.live("Places of clients that leave are free again, wherever they leave", () =>
  Effect.gen(function* () {
    const { port, upstream } = yield* behind({ max: 4, queue: 8, wait: "2s" }, (request) => {
      setTimeout(() => Upstream.echo(request), 5)
    })
    // Some are in flight, some wait, some are refused; they leave when and where it happens.
    yield* Effect.forEach(
      Array.from({ length: 150 }, (_, index) => index),
      (index) =>
        Effect.scoped(
          Effect.gen(function* () {
            const conversation = yield* open(port, "/shop")
            if (index % 3 === 0) yield* Effect.promise(() => conversation.done)
            else yield* Effect.sleep(`${(index * 7) % 13} millis`)
          })
        ),
      { concurrency: 20 }
    )
    yield* loadIs(port, 0, 0)
    assert.strictEqual((yield* Gateway.shop(port)).targets[0]?.inFlight, 0)
    upstream.become(Upstream.hangs)
    yield* Effect.forEach(Array(4), () => open(port, "/shop"))
    yield* loadIs(port, 4, 0)
  })
)
