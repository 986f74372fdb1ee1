import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { ask, causeOf, header, open } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

const once: Gateway.UpstreamSettings = { health: "off", retry: { attempts: 1 } }

/** One target, with the settings given. */
const behind = Effect.fnUntraced(function* (behaviour: Upstream.Behaviour, settings: Gateway.UpstreamSettings) {
  const upstream = yield* Upstream.make(behaviour)
  return { upstream, port: yield* Gateway.make({ targets: [upstream.url], upstream: { ...once, ...settings } }) }
})

const timed = <A>(effect: Effect.Effect<A>) =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, (value) => ({ value, millis: performance.now() - start }))
  })

/** Answers after a time. */
const after =
  (millis: number, behaviour: Upstream.Behaviour): Upstream.Behaviour =>
  (request) =>
    void setTimeout(() => behaviour(request), millis)

describe("The timeout", () => {
  it.live("of an attempt ends it, and the request is tried at another target", () =>
    Effect.gen(function* () {
      const [silent, sound] = [yield* Upstream.make(Upstream.hangs), yield* Upstream.make()]
      const timeouts = { attempt: "200ms" }
      const port = yield* Gateway.make({ targets: [silent.url, sound.url], upstream: { health: "off", timeouts } })
      assert.strictEqual((yield* ask(port, "/shop")).status, 200)
      yield* Effect.promise(() => silent.requests[0]?.closed ?? Promise.reject(new Error("never asked")))
      assert.lengthOf(sound.requests, 1)
    })
  )

  it.live("of an attempt is told where there is no other", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind(Upstream.hangs, { timeouts: { attempt: "200ms" } })
      const answer = yield* ask(port, "/shop")
      assert.strictEqual(answer.status, 504)
      assert.deepInclude(answer.json(), {
        type: "urn:opsbuddy:problem:upstream-timeout",
        upstream: "shop",
        target: upstream.url,
        timeoutMillis: 200,
        detail: `no answer from ${upstream.url} within 200 ms`
      })
    })
  )

  it.live("of the whole request ends it, however many attempts it has had", () =>
    Effect.gen(function* () {
      const timeouts = { attempt: "300ms", total: "500ms" }
      const { port, upstream } = yield* behind(Upstream.hangs, { timeouts, retry: { attempts: 5, budget: 1 } })
      const { millis, value } = yield* timed(ask(port, "/shop"))
      assert.deepInclude(value.json(), { status: 504, timeoutMillis: 500 })
      assert.isAtLeast(millis, 490)
      assert.isBelow(millis, 900)
      assert.lengthOf(upstream.requests, 2)
    })
  )

  it.live("of a request with a body is another, as it is answered when all of it has arrived", () =>
    Effect.gen(function* () {
      const timeouts = { attempt: "100ms", total: "200ms", upload: "600ms" }
      const { port, upstream } = yield* behind(after(400, Upstream.echo), { timeouts })
      assert.strictEqual((yield* ask(port, "/shop", { method: "POST", body: "whole" })).status, 200)
      upstream.become(Upstream.hangs)
      const answer = yield* ask(port, "/shop", { method: "POST", body: "whole" })
      assert.deepInclude(answer.json(), { status: 504, timeoutMillis: 600 })
    })
  )

  it.live("that is left goes onward in a header", () =>
    Effect.gen(function* () {
      const timeouts = { attempt: "300ms", total: "2s" }
      const { port, upstream } = yield* behind(Upstream.hangs, { timeouts, retry: { attempts: 2, budget: 1 } })
      yield* ask(port, "/shop", { headers: { "X-Request-Timeout-Ms": "999999" } })
      const left = upstream.requests.map((request) => Number(Upstream.headerOf(request, "x-request-timeout-ms")))
      const [first = 0, second = 0] = left
      assert.lengthOf(left, 2)
      assert.isTrue(first > 1500 && first <= 2000, `${first}`)
      assert.isTrue(second > 500 && second <= first - 290, `${second} after ${first}`)
    })
  )
})

describe("The circuit", () => {
  const circuit = { consecutiveFailures: 2 }
  const resets: Upstream.Behaviour = (request) => void request.whole.then(() => request.socket.destroy())

  const failures: ReadonlyArray<readonly [string, Upstream.Behaviour]> = [
    ["status 502", Upstream.replies("502 Bad Gateway")],
    ["status 503", Upstream.replies("503 Service Unavailable")],
    ["status 504", Upstream.replies("504 Gateway Timeout")],
    ["a broken connection", resets],
    ["a timeout", Upstream.hangs],
    ["an answer that is too slow", after(150, Upstream.echo)]
  ]
  it.live(`opens after ${failures.map(([what]) => what).join(", ")}, and a refused connection`, () =>
    Effect.gen(function* () {
      for (const [what, behaviour] of failures) {
        const { port, upstream } = yield* behind(behaviour, {
          circuit: { ...circuit, slowCall: "100ms" },
          timeouts: { attempt: "300ms" }
        })
        yield* ask(port, "/shop")
        assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "closed", what)
        yield* ask(port, "/shop")
        assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "open", what)
        assert.strictEqual(causeOf(yield* ask(port, "/shop")), "circuit-open", what)
        assert.lengthOf(upstream.requests, 2, what)
      }
      const { port, upstream } = yield* behind(Upstream.echo, { circuit })
      yield* upstream.stop
      const causes = yield* Effect.forEach([1, 2, 3], () => Effect.map(ask(port, "/shop"), causeOf))
      assert.deepStrictEqual(causes, ["connect-failed", "connect-failed", "circuit-open"])
    })
  )

  it.live("stays closed after a 404, a 500 and clients that have left", () =>
    Effect.gen(function* () {
      for (const status of ["404 Not Found", "500 Oops"]) {
        const { port } = yield* behind(Upstream.replies(status), { circuit })
        for (let i = 0; i < 4; i++) yield* ask(port, "/shop")
        assert.deepInclude((yield* Gateway.shop(port)).circuit, { state: "closed", consecutiveFailures: 0 })
      }
      const { port, upstream } = yield* behind(Upstream.hangs, { circuit })
      for (let i = 0; i < 4; i++) {
        const arrived = yield* Effect.forkChild(upstream.next, { startImmediately: true })
        const { socket } = yield* open(port, "/shop")
        yield* Fiber.join(arrived)
        socket.destroy()
        yield* Gateway.eventually(Gateway.shop(port), ({ targets }) => targets[0]?.inFlight === 0)
      }
      assert.deepInclude((yield* Gateway.shop(port)).circuit, { state: "closed", consecutiveFailures: 0 })
    })
  )

  it.live("opens at a share of failures, once there are enough calls", () =>
    Effect.gen(function* () {
      const failureRate = { threshold: 0.5, minimumCalls: 4, calls: 10 }
      const { port, upstream } = yield* behind(Upstream.echo, { circuit: { failureRate } })
      for (const status of ["200 OK", "503 No", "200 OK"]) {
        upstream.become(Upstream.replies(status))
        yield* ask(port, "/shop")
        assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "closed")
      }
      upstream.become(Upstream.replies("503 No"))
      yield* ask(port, "/shop")
      assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "open")
    })
  )

  it.live("counts connections that break at one moment as one failure", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind(Upstream.hangs, { circuit })
      const asked = yield* Effect.forkChild(
        Effect.forEach(Array(10), () => ask(port, "/shop", { method: "POST" }), { concurrency: 10 })
      )
      yield* Gateway.eventually(
        Effect.sync(() => upstream.requests.length),
        (count) => count === 10
      )
      for (const { socket } of upstream.requests) socket.destroy()
      const causes = (yield* Fiber.join(asked)).map(causeOf)
      assert.deepStrictEqual([...new Set(causes)], ["upstream-reset"])
      assert.deepInclude((yield* Gateway.shop(port)).circuit, { state: "closed", consecutiveFailures: 1 })
    })
  )

  it.live("says when to come again, and why", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind(Upstream.replies("503 No"), { circuit: { ...circuit, openFor: "30s" } })
      for (let i = 0; i < 2; i++) yield* ask(port, "/shop")
      const answer = yield* ask(port, "/shop")
      const seconds = Number(header(answer, "retry-after"))
      assert.isTrue(seconds >= 29 && seconds <= 30, `${seconds}`)
      const reason = `status 503 from ${upstream.url}`
      assert.deepInclude(answer.json(), {
        status: 503,
        upstream: "shop",
        retryAfter: seconds,
        lastFailure: reason,
        detail: `circuit of upstream shop open for ${seconds} s more: 2 consecutive failures, last: ${reason}`
      })
    })
  )

  it.live("lets one request try as soon as a health check passes, and closes when that does well", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind(Upstream.echo, { circuit, health: { every: "1s" } })
      yield* Gateway.checked(port)
      yield* upstream.stop
      for (let i = 0; i < 2; i++) yield* ask(port, "/shop")
      assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "open")
      yield* upstream.restart
      yield* Gateway.circuitIs(port, "half-open")
      assert.strictEqual((yield* ask(port, "/shop")).status, 200)
      assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "closed")
    })
  )

  it.live("lets one request try at a time, and does not stick when that one never ends or its client leaves", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind(Upstream.replies("503 No"), {
        circuit: { ...circuit, openFor: "100ms", probeTimeout: "400ms" }
      })
      for (let i = 0; i < 2; i++) yield* ask(port, "/shop")
      yield* Effect.sleep("120 millis")
      upstream.become(Upstream.hangs)
      const arrived = yield* Effect.forkChild(upstream.next, { startImmediately: true })
      const probe = yield* open(port, "/shop")
      yield* Fiber.join(arrived)
      const refused = yield* ask(port, "/shop")
      assert.include(String(refused.json().detail), "half-open, a probe is under way")
      probe.socket.destroy()
      yield* Gateway.eventually(Gateway.shop(port), ({ targets }) => targets[0]?.inFlight === 0)
      // The next is the probe, which nobody answers.
      const second = yield* Effect.forkChild(upstream.next, { startImmediately: true })
      yield* open(port, "/shop")
      yield* Fiber.join(second)
      assert.strictEqual(causeOf(yield* ask(port, "/shop")), "circuit-open")
      upstream.become(Upstream.echo)
      yield* Effect.sleep("420 millis")
      assert.strictEqual((yield* ask(port, "/shop")).status, 200)
      assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "closed")
    })
  )
})
