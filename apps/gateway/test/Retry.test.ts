import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { ask, causeOf, open } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

/** Nothing but what a test asks for keeps requests from targets. */
const bare: Gateway.UpstreamSettings = { health: "off", circuit: { consecutiveFailures: 10_000 } }

/** Takes the request and cuts the connection. */
const resets: Upstream.Behaviour = (request) => void request.whole.then(() => request.socket.destroy())

const unavailable = Upstream.replies("503 Service Unavailable")

/** Where nobody listens any more. */
const gone = Effect.tap(Upstream.make(), ({ stop }) => stop)

/** Two targets, the first of which is asked first and does as it is told. */
const pair = Effect.fnUntraced(function* (behaviour: Upstream.Behaviour, upstream: Gateway.UpstreamSettings = {}) {
  const [first, second] = [yield* Upstream.make(behaviour), yield* Upstream.make()]
  const port = yield* Gateway.make({ targets: [first.url, second.url], upstream: { ...bare, ...upstream } })
  return { first, second, port }
})

const attemptsAt = (port: number) =>
  Effect.map(Gateway.shop(port), ({ targets }) => targets.reduce((sum, { requests }) => sum + requests, 0))

describe("A request whose target breaks off is tried at another one", () => {
  const key = { "Idempotency-Key": "1" }
  const cases = [
    ...["GET", "HEAD", "OPTIONS", "PUT", "DELETE"].map((method) => ({ method, headers: {}, repeats: true })),
    { method: "POST", headers: key, repeats: true },
    { method: "PATCH", headers: key, repeats: true },
    { method: "POST", headers: {}, repeats: false },
    { method: "PATCH", headers: {}, repeats: false },
    // Bytes of the body have gone up, so that it cannot be known what came of them.
    { method: "PUT", headers: {}, body: "whole", repeats: false },
    { method: "POST", headers: key, body: "whole", repeats: false }
  ]
  for (const { repeats, ...question } of cases) {
    const named = `${question.method}${"body" in question ? " with a body" : ""}${question.headers === key ? " with an Idempotency-Key" : ""}`
    it.live(`${repeats ? "if" : "but not if"} it is a ${named}`, () =>
      Effect.gen(function* () {
        const { first, port, second } = yield* pair(resets)
        const answer = yield* ask(port, "/shop", question)
        assert.strictEqual(answer.status, repeats ? 200 : 502)
        if (!repeats) assert.strictEqual(causeOf(answer), "upstream-reset")
        assert.deepStrictEqual([first.requests.length, second.requests.length], [1, repeats ? 1 : 0])
      })
    )
  }

  it.live("if the target answers 503, but not if it answers 500", () =>
    Effect.gen(function* () {
      const { first, port } = yield* pair(unavailable)
      assert.strictEqual((yield* ask(port, "/shop")).status, 200)
      first.become(Upstream.replies("500 Oops"))
      const answers = yield* Effect.forEach([1, 2], () => ask(port, "/shop"))
      assert.deepStrictEqual(answers.map(({ status }) => status).sort(), [200, 500])
    })
  )

  it.live("each time another as long as there is one, up to the attempts that are set", () =>
    Effect.gen(function* () {
      const upstreams = yield* Effect.forEach([1, 2, 3], () => Upstream.make(resets))
      const targets = upstreams.map(({ url }) => url)
      const port = yield* Gateway.make({ targets, upstream: { ...bare, retry: { attempts: 3, budget: 1 } } })
      assert.strictEqual((yield* ask(port, "/shop")).status, 502)
      assert.deepStrictEqual(
        upstreams.map(({ requests }) => requests.length),
        [1, 1, 1]
      )
    })
  )

  it.live("unless its route is told to try once", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* Upstream.make(resets), yield* Upstream.make()]
      const targets = [first.url, second.url]
      const port = yield* Gateway.make({ targets, upstream: bare, route: { retry: { attempts: 1 } } })
      assert.strictEqual((yield* ask(port, "/shop")).status, 502)
      assert.lengthOf(second.requests, 0)
    })
  )
})

describe("A target that refuses connections", () => {
  for (const method of ["POST", "PATCH", "PUT"]) {
    it.live(`leaves a ${method} with its body whole for another one`, () =>
      Effect.gen(function* () {
        const { first, port, second } = yield* pair(Upstream.echo)
        yield* first.stop
        const answer = yield* ask(port, "/shop", { method, body: "x".repeat(100_000) })
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual([first.requests.length, second.requests.length], [0, 1])
        assert.strictEqual(second.requests[0]?.bytes(), 100_000)
      })
    )
  }

  it.live("costs no request, neither from the first on nor when many come at once", () =>
    Effect.gen(function* () {
      for (const concurrency of [1, 100]) {
        const [dead, sound] = [yield* gone, yield* Upstream.make()]
        const port = yield* Gateway.make({ targets: [dead.url, sound.url], upstream: bare })
        const answers = yield* Effect.forEach(Array(100), () => ask(port, "/shop"), { concurrency })
        assert.deepStrictEqual([...new Set(answers.map(({ status }) => status))], [200], `${concurrency} at once`)
      }
    })
  )
})

describe("Retry-After", () => {
  it.live("is waited for, at least so long", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make(Upstream.replies("503 Service Unavailable", ["Retry-After: 1"]))
      const port = yield* Gateway.make({ targets: [upstream.url], upstream: { ...bare, retry: { budget: 1 } } })
      const start = performance.now()
      const asked = yield* Effect.forkChild(ask(port, "/shop"))
      yield* upstream.next
      upstream.become(Upstream.echo)
      const answer = yield* Fiber.join(asked)
      assert.strictEqual(answer.status, 200)
      assert.isAtLeast(performance.now() - start, 990)
    })
  )

  it.live("that is longer than the request may take lets the answer pass at once", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make(Upstream.replies("503 Service Unavailable", ["Retry-After: 31"], "later"))
      const port = yield* Gateway.make({ targets: [upstream.url], upstream: { ...bare, retry: { budget: 1 } } })
      const answer = yield* ask(port, "/shop")
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.body.toString(), "later")
      assert.lengthOf(upstream.requests, 1)
    })
  )
})

describe("The retry budget", () => {
  it.live("keeps a dead upstream from more than 1.2 times the requests", () =>
    Effect.gen(function* () {
      const dead = yield* gone
      const port = yield* Gateway.make({ targets: [dead.url], upstream: bare })
      for (let i = 0; i < 100; i++) assert.strictEqual((yield* ask(port, "/shop")).status, 502)
      assert.strictEqual(yield* attemptsAt(port), 120)
    })
  )

  it.live("keeps one that answers 503 from more, however many requests come at once", () =>
    Effect.gen(function* () {
      const upstreams = yield* Effect.forEach([1, 2, 3], () => Upstream.make(unavailable))
      const targets = upstreams.map(({ url }) => url)
      const port = yield* Gateway.make({ targets, upstream: bare })
      yield* Effect.forEach(Array(200), () => ask(port, "/shop"), { concurrency: 20 })
      const seen = upstreams.reduce((sum, { requests }) => sum + requests.length, 0)
      assert.isAbove(seen, 210)
      assert.isAtMost(seen, 240)
      assert.strictEqual(yield* attemptsAt(port), seen)
    })
  )

  it.live("of a route holds for its requests", () =>
    Effect.gen(function* () {
      const dead = yield* gone
      const port = yield* Gateway.make({ targets: [dead.url], upstream: bare, route: { retry: { budget: 0.5 } } })
      for (let i = 0; i < 20; i++) yield* ask(port, "/shop")
      assert.strictEqual(yield* attemptsAt(port), 30)
    })
  )
})

it.live("A client that leaves before the next attempt ends it", () =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.make(Upstream.replies("503 Service Unavailable", ["Retry-After: 1"]))
    const port = yield* Gateway.make({ targets: [upstream.url], upstream: { ...bare, retry: { budget: 1 } } })
    const { socket } = yield* open(port, "/shop", { headers: { "X-Request-Id": "left" } })
    yield* upstream.next
    yield* Gateway.eventually(Gateway.shop(port), ({ targets }) => targets[0]?.failures === 1)
    socket.destroy()
    const account = yield* Gateway.eventually(ask(port, "/api/gateway/requests/left"), ({ status }) => status === 200)
    assert.deepInclude(account.json().answer, { by: "gateway", status: 499, cause: "client-closed" })
    yield* Effect.sleep("1200 millis")
    assert.lengthOf(upstream.requests, 1)
  })
)
