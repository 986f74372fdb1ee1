import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { type Answer, ask, causeOf, converse, header, open } from "./client.ts"
import * as Gateway from "./gateway.ts"
import { value, values } from "./http1.ts"
import * as Upstream from "./upstream.ts"

const setup = Effect.fnUntraced(function* (
  behaviour: Upstream.Behaviour,
  options: Partial<Omit<Gateway.Options, "targets">> = {}
) {
  const upstream = yield* Upstream.make(behaviour)
  // One attempt, so that each request is one failure at the most.
  const one = { retry: { attempts: 1 }, ...options.upstream }
  const port = yield* Gateway.make({ ...options, upstream: one, targets: [upstream.url] })
  return { port, upstream }
})

const several = (count: number, port: number, target = "/shop") =>
  Effect.forEach(Array.from({ length: count }), () => ask(port, target))

const statuses = (answers: ReadonlyArray<Answer>) => answers.map(({ status }) => status)

/** A port that nobody listens on: one that was free a moment ago. */
const free = Effect.scoped(Effect.map(Upstream.make(), ({ url }) => url))

describe("An upstream that refuses connections", () => {
  it.live("is answered for with 502 that names upstream, target and cause", () =>
    Effect.gen(function* () {
      const target = yield* free
      const port = yield* Gateway.make({ targets: [target] })
      const answer = yield* ask(port, "/shop/cart?x=1", { headers: { "X-Request-Id": "the-id" } })
      assert.deepStrictEqual(
        [answer.status, header(answer, "content-type"), header(answer, "x-request-id"), answer.complete],
        [502, "application/problem+json", "the-id", true]
      )
      assert.deepStrictEqual(answer.json(), {
        type: "urn:opsbuddy:problem:connect-failed",
        title: "The upstream could not be reached",
        status: 502,
        detail: `connection refused by ${target}`,
        instance: "/shop/cart",
        upstream: "shop",
        target,
        requestId: "the-id"
      })
    })
  )

  it.live("opens its circuit with the fifth failure in a row, and is not asked from then on", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      yield* upstream.stop
      const failures = yield* several(5, port)
      assert.deepStrictEqual([...new Set(failures.map(causeOf))], ["connect-failed"])
      const before = yield* Clock.currentTimeMillis
      const refused = yield* ask(port, "/shop/cart")
      const after = yield* Clock.currentTimeMillis
      assert.isBelow(after - before, 100)
      assert.deepStrictEqual([refused.status, causeOf(refused)], [503, "circuit-open"])
      const problem = refused.json()
      assert.strictEqual(problem.upstream, "shop")
      assert.include(String(problem.lastFailure), "connection refused")
      assert.match(
        String(problem.detail),
        /^circuit of upstream shop open for \d+ s more: 5 consecutive failures, last: /
      )
      assert.isNumber(problem.retryAfter)
      assert.strictEqual(header(refused, "retry-after"), String(problem.retryAfter))
      assert.isTrue(Number(problem.retryAfter) > 50 && Number(problem.retryAfter) <= 60)
      const { circuit, targets } = yield* Gateway.shop(port)
      assert.deepStrictEqual([circuit.state, circuit.consecutiveFailures], ["open", 5])
      assert.include(circuit.lastFailure, "connection refused")
      assert.deepStrictEqual([targets[0]?.requests, targets[0]?.failures, targets[0]?.inFlight], [5, 5, 0])
    })
  )

  it.live("is asked again long before its circuit would try by itself, once a health check has found it back", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      yield* upstream.stop
      yield* several(5, port)
      yield* Gateway.circuitIs(port, "open")
      yield* upstream.restart
      yield* Gateway.circuitIs(port, "half-open", "10 seconds")
      const answer = yield* ask(port, "/shop/cart")
      assert.strictEqual(answer.status, 200)
      const { circuit } = yield* Gateway.shop(port)
      assert.deepStrictEqual([circuit.state, circuit.consecutiveFailures], ["closed", 0])
    })
  )

  it.live("gets one request to try with, and others are refused while that is under way", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      yield* upstream.stop
      yield* several(5, port)
      upstream.become(Upstream.hangs)
      yield* upstream.restart
      yield* Gateway.circuitIs(port, "half-open", "10 seconds")
      const arrives = yield* Effect.forkChild(upstream.next, { startImmediately: true })
      const probe = yield* open(port, "/shop/probe")
      const { socket } = yield* Fiber.join(arrives)
      const other = yield* ask(port, "/shop/other")
      assert.deepStrictEqual([other.status, causeOf(other)], [503, "circuit-open"])
      assert.strictEqual(header(other, "retry-after"), "1")
      assert.include(String(other.json().detail), "a probe is under way")
      socket.write(Upstream.answer("200 OK"))
      yield* Effect.promise(() => probe.done)
      assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "closed")
    })
  )
})

describe("An upstream that does not answer", () => {
  const upstreamSettings = { timeouts: { attempt: "100ms", upload: "300ms" } }

  it.live("is answered for with 504 that tells the limit, and is told to stop", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.hangs, { upstream: upstreamSettings })
      const answer = yield* ask(port, "/shop")
      assert.deepStrictEqual([answer.status, causeOf(answer)], [504, "upstream-timeout"])
      assert.include(answer.json(), { upstream: "shop", target: upstream.url, timeoutMillis: 100 })
      const [request] = upstream.requests
      yield* Effect.promise(async () => request?.closed).pipe(Effect.timeout("2 seconds"))
    })
  )

  it.live("has longer for a request with a body", () =>
    Effect.gen(function* () {
      const { port } = yield* setup(Upstream.hangs, { upstream: upstreamSettings })
      const answer = yield* ask(port, "/shop", { method: "POST", body: "x" })
      assert.deepStrictEqual([causeOf(answer), answer.json().timeoutMillis], ["upstream-timeout", 300])
    })
  )

  it.live("opens its circuit", () =>
    Effect.gen(function* () {
      const { port } = yield* setup(Upstream.hangs, { upstream: upstreamSettings })
      yield* several(5, port)
      assert.strictEqual(causeOf(yield* ask(port, "/shop")), "circuit-open")
    })
  )

  it.live("may take longer for its body than for its head", () =>
    Effect.gen(function* () {
      const { port } = yield* setup(
        (request) => {
          request.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
          setTimeout(() => request.socket.write("b"), 1200)
        },
        { upstream: { timeouts: { attempt: "1s" } } }
      )
      const answer = yield* ask(port, "/shop")
      assert.deepStrictEqual([answer.status, answer.body.toString(), answer.complete], [200, "ab", true])
    })
  )
})

describe("An upstream that breaks off before its answer's head", () => {
  const ways: ReadonlyArray<readonly [string, Upstream.Behaviour]> = [
    ["by closing", ({ socket }) => socket.end()],
    ["by a reset", ({ socket }) => socket.resetAndDestroy()],
    ["in the middle of the head", ({ socket }) => socket.end("HTTP/1.1 200 OK\r\nContent-Le")],
    ["with what is no HTTP", ({ socket }) => socket.end("SSH-2.0-OpenSSH\r\n\r\n")]
  ]
  for (const [way, behaviour] of ways) {
    it.live(`${way} is answered for with 502`, () =>
      Effect.gen(function* () {
        const { port, upstream } = yield* setup(behaviour)
        const answer = yield* ask(port, "/shop", { method: "POST", body: "x" })
        assert.deepStrictEqual([answer.status, causeOf(answer)], [502, "upstream-reset"])
        assert.include(answer.json(), { upstream: "shop", target: upstream.url })
        // What may run only once is not sent a second time.
        assert.strictEqual(upstream.requests.length, 1)
      })
    )
  }
})

describe("Answers of an upstream", () => {
  for (const status of [502, 503, 504]) {
    it.live(`with ${status} pass through, and open the circuit`, () =>
      Effect.gen(function* () {
        const { port, upstream } = yield* setup(Upstream.replies(`${status} Busy`, ["Retry-After: 7"], "busy"))
        const answers = yield* several(5, port)
        assert.deepStrictEqual([...new Set(statuses(answers))], [status])
        assert.deepStrictEqual([...new Set(answers.map(({ body }) => body.toString()))], ["busy"])
        assert.deepStrictEqual([...new Set(answers.map((answer) => header(answer, "retry-after")))], ["7"])
        const refused = yield* ask(port, "/shop")
        assert.deepStrictEqual(
          [causeOf(refused), refused.json().lastFailure],
          ["circuit-open", `status ${status} from ${upstream.url}`]
        )
      })
    )
  }

  for (const status of [400, 404, 429, 500]) {
    it.live(`with ${status} do not count against it`, () =>
      Effect.gen(function* () {
        const { port } = yield* setup(Upstream.replies(`${status} So`))
        const answers = yield* several(12, port)
        assert.deepStrictEqual([...new Set(statuses(answers))], [status])
        const { circuit, targets } = yield* Gateway.shop(port)
        assert.deepStrictEqual([circuit.state, circuit.consecutiveFailures, targets[0]?.failures], ["closed", 0, 0])
      })
    )
  }

  it.live("that are well reset the count of failures", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.replies("503 Busy"))
      yield* several(4, port)
      upstream.become(Upstream.echo)
      yield* several(1, port)
      upstream.become(Upstream.replies("503 Busy"))
      yield* several(4, port)
      assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "closed")
    })
  )
})

describe("A client of HTTP/1.0 without a host", () => {
  it.live("is served", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      const client = yield* converse(port, "GET /shop/a/b?c HTTP/1.0\r\n\r\n")
      yield* Effect.promise(() => client.done)
      assert.include((yield* Effect.promise(() => client.head)).line, "200")
      assert.strictEqual(upstream.requests[0]?.target, "/shop/a/b?c")
    })
  )

  it.live("gets an answer of any length as it is", () =>
    Effect.gen(function* () {
      const size = 3_000_000
      const { port } = yield* setup((request) => {
        request.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        Upstream.pour(request.socket, size)
      })
      const client = yield* converse(port, "GET /shop HTTP/1.0\r\n\r\n")
      yield* Effect.promise(() => client.done)
      assert.deepStrictEqual([client.bytes(), client.received().includes(13)], [size, false])
    })
  )
})

describe("An upgrade", () => {
  it.live("to another protocol than WebSocket is refused with 501 and does not hang", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      const answer = yield* ask(port, "/shop/socket", { headers: { Connection: "Upgrade", Upgrade: "TLS/1.0" } })
      assert.deepStrictEqual([answer.status, causeOf(answer)], [501, "upgrade-not-supported"])
      assert.deepStrictEqual(upstream.requests, [])
      assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "closed")
    })
  )

  it.live("to HTTP/2 is an offer that is not taken: the request is served as it is", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(Upstream.echo)
      const answer = yield* ask(port, "/shop", {
        headers: { Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAMAAABk" }
      })
      assert.strictEqual(answer.status, 200)
      const [request] = upstream.requests
      assert.isDefined(request)
      if (request === undefined) return
      assert.deepStrictEqual(values(request.head, "upgrade"), [])
      assert.strictEqual(value(request.head, "http2-settings"), undefined)
    })
  )
})
