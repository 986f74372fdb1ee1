import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type Answer, ask, causeOf, header, type Question } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Redis from "./redis.ts"
import * as Upstream from "./upstream.ts"

type Limit = NonNullable<Gateway.RouteSettings["limit"]>

const behind = Effect.fnUntraced(function* (limit: Limit, trustedProxies: ReadonlyArray<string> = []) {
  const upstream = yield* Upstream.make()
  const { port } = yield* Gateway.serveFile({
    upstreams: { shop: { targets: [upstream.url], health: "off" } },
    routes: [{ name: "shop", path: "/shop", upstream: "shop", limit }],
    trustedProxies
  })
  return { upstream, port }
})

const statuses = (port: number, count: number, question: Question = {}) =>
  Effect.forEach(Array(count), () => Effect.map(ask(port, "/shop", question), ({ status }) => status))

const from = (address: string): Question => ({ headers: { "X-Forwarded-For": address } })

const figures = (answer: Answer) => [header(answer, "ratelimit-policy"), header(answer, "ratelimit")]

describe("A route's rate limit", () => {
  it.live("lets as many pass as it says, tells what is left, and refuses the next with the time to wait", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind({ rate: "60/m", burst: 3 })
      const passed = yield* Effect.forEach(Array(3), () => ask(port, "/shop"))
      assert.deepStrictEqual(
        passed.map(({ status }) => status),
        [200, 200, 200]
      )
      assert.deepStrictEqual(
        passed.map((answer) => figures(answer).join(" ")),
        [2, 1, 0].map((left) => `"shop";q=3;w=3 "shop";r=${left};t=${3 - left}`)
      )
      const refused = yield* ask(port, "/shop")
      assert.strictEqual(refused.status, 429)
      assert.strictEqual(header(refused, "retry-after"), "1")
      assert.deepStrictEqual(figures(refused), ['"shop";q=3;w=3', '"shop";r=0;t=3'])
      assert.deepInclude(refused.json(), {
        type: "urn:opsbuddy:problem:rate-limited",
        route: "shop",
        limit: 3,
        retryAfter: 1,
        detail: "the limit of route shop for client 127.0.0.1 is used up: 3 requests at once"
      })
      assert.lengthOf(upstream.requests, 3)
      yield* Effect.sleep("1050 millis")
      assert.deepStrictEqual(yield* statuses(port, 2), [200, 429])
    })
  )

  it.live("by a header counts each value apart, and those without it together", () =>
    Effect.gen(function* () {
      const { port } = yield* behind({ rate: "2/h", by: "header:X-Key" })
      for (const key of ["a", "b"]) {
        assert.deepStrictEqual(yield* statuses(port, 3, { headers: { "X-Key": key } }), [200, 200, 429])
      }
      assert.deepStrictEqual(yield* statuses(port, 3), [200, 200, 429])
    })
  )

  it.live("by client goes by what a trusted proxy says, and not by what anybody else does", () =>
    Effect.gen(function* () {
      const untrusting = yield* behind({ rate: "2/h" })
      assert.deepStrictEqual(yield* statuses(untrusting.port, 2, from("10.0.0.1")), [200, 200])
      assert.deepStrictEqual(yield* statuses(untrusting.port, 1, from("10.0.0.2")), [429])
      const trusting = yield* behind({ rate: "2/h" }, ["127.0.0.0/8"])
      assert.deepStrictEqual(yield* statuses(trusting.port, 3, from("10.0.0.1")), [200, 200, 429])
      assert.deepStrictEqual(yield* statuses(trusting.port, 2, from("10.0.0.2")), [200, 200])
      // What stands before the address that the proxy has added is the client's to invent.
      assert.deepStrictEqual(yield* statuses(trusting.port, 1, from("10.0.0.9, 10.0.0.1")), [429])
    })
  )
})

/** The gateway with a limit of six an hour, counted in Redis. */
const overRedis = Effect.fnUntraced(function* (url: string, whenGone: "local" | "allow" | "refuse") {
  const upstream = yield* Upstream.make()
  const { port } = yield* Gateway.serveFile({
    upstreams: { shop: { targets: [upstream.url], health: "off" } },
    routes: [{ name: `shop-${whenGone}`, path: "/shop", upstream: "shop", limit: { rate: "6/h" } }],
    rateLimits: { redis: url, whenGone }
  })
  return port
})

const storeOf = (port: number) =>
  Effect.gen(function* () {
    yield* ask(port, "/shop", { headers: { "X-Request-Id": "asked" } })
    const { limit } = (yield* ask(port, "/api/gateway/requests/asked")).json()
    return limit === undefined ? "none" : String((limit as { readonly store: string }).store)
  })

/** What the gateway shows of its store: in metrics, in `/status`, and the events so far. */
const shown = (port: number) =>
  Effect.gen(function* () {
    const metrics = (yield* ask(port, "/metrics")).body.toString()
    const counters = (yield* ask(port, "/status")).json().counters as { readonly rateLimitStoreGone: number }
    const events = (yield* ask(port, "/api/gateway/events")).json().items as ReadonlyArray<{
      readonly kind: string
      readonly to?: string
    }>
    return {
      metric: /^opsbuddy_gateway_rate_limit_store_gone(?:\{\})? (\d)$/m.exec(metrics)?.[1],
      status: counters.rateLimitStoreGone,
      events: events.filter(({ kind }) => kind === "rate-limit-store-changed").map(({ to }) => to)
    }
  })

describe("A rate limit in Redis", () => {
  const redisTest = <E>(name: string, test: Effect.Effect<void, E, Scope.Scope>) =>
    it.live(name, (context): Effect.Effect<void, E, Scope.Scope> => {
      if (Redis.isThere) return test
      assert.notStrictEqual(process.env.OPSBUDDY_REQUIRE_PARTS, "1", "redis-server is required and not on the PATH")
      return Effect.sync(() => context.skip("redis-server is not on the PATH"))
    })

  redisTest(
    "is one for all gateways",
    Effect.gen(function* () {
      const redis = yield* Redis.make
      yield* redis.start
      const ports = yield* Effect.forEach([1, 2], () => overRedis(redis.url, "refuse"))
      yield* Effect.forEach(ports, (port) => Gateway.eventually(storeOf(port), (store) => store === "shared"))
      const all = yield* Effect.forEach([0, 1, 0, 1, 0, 1, 0, 1], (index) => statuses(ports[index] ?? 0, 1))
      // At least one of each has gone before.
      const passed = all.flat().filter((status) => status === 200).length
      assert.isAtMost(passed, 4)
      assert.deepStrictEqual(all.flat().slice(passed), Array(8 - passed).fill(429))
      assert.deepStrictEqual(
        yield* shown(ports[0] ?? 0).pipe(Effect.map(({ metric, status }) => ({ metric, status }))),
        {
          metric: "0",
          status: 0
        }
      )
    })
  )

  redisTest(
    "that is gone holds as the configuration says, shows it, and comes back by itself",
    Effect.gen(function* () {
      const redis = yield* Redis.make
      // The gateways are there before Redis is.
      const gateways = yield* Effect.forEach(["local", "allow", "refuse"] as const, (whenGone) =>
        Effect.map(overRedis(redis.url, whenGone), (port) => ({ port, whenGone }))
      )
      const all = <A>(ask: (gateway: (typeof gateways)[number]) => Effect.Effect<A>) =>
        Effect.forEach(gateways, ask, { concurrency: 3 })
      yield* redis.start
      yield* Effect.sleep("1 second")
      yield* all(({ port }) => Gateway.eventually(storeOf(port), (store) => store === "shared", "12 seconds"))
      const before = yield* all(({ port }) => Effect.map(shown(port), ({ events }) => events.length))
      redis.kill("SIGKILL")
      yield* all(({ port }) =>
        Gateway.eventually(
          Effect.tap(shown(port), () => ask(port, "/shop")),
          ({ metric }) => metric === "1"
        )
      )
      const counted = yield* all(({ port }) => statuses(port, 7))
      const [local = [], allow, refuse] = counted
      // Its own count of six, of which the requests before have taken some.
      assert.match(local.join(" "), /^(200 ){0,6}429( 429)*$/)
      assert.deepStrictEqual([allow, refuse], [Array(7).fill(200), Array(7).fill(503)])
      const refused = yield* ask(gateways[2]?.port ?? 0, "/shop")
      assert.strictEqual(causeOf(refused), "rate-limit-unavailable")
      assert.isAtLeast(Number(header(refused, "retry-after")), 1)
      const gone = yield* all(({ port }) => shown(port))
      for (const [index, { events, metric, status }] of gone.entries()) {
        assert.deepStrictEqual([metric, status, events.slice(before[index])], ["1", 1, ["gone"]])
      }
      yield* redis.start
      yield* all(({ port }) => Gateway.eventually(storeOf(port), (store) => store === "shared", "12 seconds"))
      const back = yield* all(({ port }) => shown(port))
      for (const [index, { events, metric, status }] of back.entries()) {
        assert.deepStrictEqual([metric, status, events.slice(before[index])], ["0", 0, ["gone", "shared"]])
      }
    })
  )

  redisTest(
    "that hangs delays a request by no more than a moment",
    Effect.gen(function* () {
      const redis = yield* Redis.make
      yield* redis.start
      const port = yield* overRedis(redis.url, "allow")
      yield* Gateway.eventually(storeOf(port), (store) => store === "shared")
      redis.kill("SIGSTOP")
      const start = performance.now()
      assert.deepStrictEqual(yield* statuses(port, 10), Array(10).fill(200))
      // Three wait for 100 ms each, then it is left alone.
      assert.isBelow(performance.now() - start, 1500)
    })
  )
})
