import { assert, describe, it } from "@effect/vitest"
import { RequestId } from "@opsbuddy/contract/Problems"
import { Clock, Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import { FetchHttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { Account } from "../src/Account.ts"
import * as AccountText from "../src/AccountText.ts"
import { RecordSender } from "../src/RecordSender.ts"
import * as Route from "../src/Route.ts"
import { ask, header, open } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

const accepts = Upstream.replies("200 OK", ["Content-Type: application/json"], '{"accepted":1}')

/** Records as they are on the wire. */
interface Sent {
  readonly requestId: string
  readonly method: string
  readonly path: string
  readonly route: string
  readonly service: string
  readonly status: number
  readonly durationMillis: number
  readonly [field: string]: unknown
}

/** All that analytics was sent, batch by batch. */
const batches = (analytics: Upstream.Upstream) =>
  // Only tests read them, and they look at what they name.
  analytics.requests.map((request) => JSON.parse(request.body().toString()) as ReadonlyArray<Sent>)

const records = (analytics: Upstream.Upstream) => batches(analytics).flat()

const setup = Effect.gen(function* () {
  const analytics = yield* Upstream.make(accepts)
  const upstream = yield* Upstream.make()
  // One attempt, so that each request is one failure at the most.
  const one = { retry: { attempts: 1 } }
  const port = yield* Gateway.make({ targets: [upstream.url], upstream: one, analyticsUrl: analytics.url })
  return { analytics, upstream, port }
})

const arrived = (analytics: Upstream.Upstream, count: number) =>
  Gateway.eventually(
    Effect.sync(() => records(analytics)),
    (all) => all.length >= count
  )

describe("The record of a request", () => {
  it.live("arrives at analytics with what the gateway did", () =>
    Effect.gen(function* () {
      const { analytics, port, upstream } = yield* setup
      const traceId = "0af7651916cd43dd8448eb211c80319c"
      yield* ask(port, "/shop/cart?secret=1", {
        method: "POST",
        body: "12345",
        headers: { "X-Request-Id": "r1", traceparent: `00-${traceId}-b7ad6b7169203331-01` }
      })
      const [record] = yield* arrived(analytics, 1)
      assert.deepInclude(record, {
        requestId: "r1",
        method: "POST",
        path: "/shop/cart",
        route: "shop",
        service: "shop",
        target: upstream.url,
        status: 200,
        requestBytes: 5,
        client: "127.0.0.1",
        traceId
      })
      assert.isBelow(Math.abs(Date.parse(String(record?.timestamp)) - (yield* Clock.currentTimeMillis)), 10_000)
      assert.isAbove(record?.durationMillis ?? 0, 0)
      assert.isNumber(record?.upstreamMillis)
      assert.isNumber(record?.responseBytes)
      assert.isUndefined(record?.cause)
    })
  )

  it.live("is there once for each request, refused ones with the cause, and for none of the gateway's own paths", () =>
    Effect.gen(function* () {
      const { analytics, port, upstream } = yield* setup
      const asked = (id: string, target: string, headers = {}) =>
        ask(port, target, { headers: { "X-Request-Id": id, ...headers } })
      for (const own of ["/health", "/ready", "/metrics", "/status", "/docs", "/openapi.json"]) yield* asked("own", own)
      for (const own of ["/api/gateway/upstreams", "/api/gateway/nothing"]) yield* asked("own", own)
      yield* asked("ok", "/shop")
      yield* asked("ambiguous", "/shop/%2e%2e%2fx")
      yield* asked("upgrade", "/shop", { Connection: "Upgrade", Upgrade: "TLS/1.0" })
      yield* asked("nowhere", "/nowhere")
      upstream.become(Upstream.replies("503 Busy"))
      yield* asked("busy", "/shop")
      yield* upstream.stop
      for (let i = 0; i < 4; i++) yield* asked("refused", "/shop")
      yield* asked("open", "/shop")
      const sent = yield* arrived(analytics, 10)
      assert.deepStrictEqual(
        sent.map(({ cause, requestId, route, service, status, target }) =>
          [requestId, route, service, status, cause ?? "-", target === undefined ? "-" : "target"].join(" ")
        ),
        [
          "ok shop shop 200 - target",
          "ambiguous shop shop 400 ambiguous-path -",
          "upgrade shop shop 501 upgrade-not-supported -",
          "nowhere none gateway 404 no-route -",
          "busy shop shop 503 - target",
          "refused shop shop 502 connect-failed target",
          "refused shop shop 502 connect-failed target",
          "refused shop shop 502 connect-failed target",
          "refused shop shop 502 connect-failed target",
          "open shop shop 503 circuit-open -"
        ]
      )
    })
  )

  it.live("says that the client left, when it did", () =>
    Effect.gen(function* () {
      const { analytics, port, upstream } = yield* setup
      upstream.become(Upstream.hangs)
      const client = yield* open(port, "/shop", { headers: { "X-Request-Id": "left" } })
      yield* Gateway.eventually(
        Effect.sync(() => upstream.requests.length),
        (count) => count === 1
      )
      client.socket.destroy()
      const [record] = yield* arrived(analytics, 1)
      assert.deepInclude(record, { requestId: "left", status: 499, cause: "client-closed" })
    })
  )

  it.live("has the id that the answer has", () =>
    Effect.gen(function* () {
      const { analytics, port } = yield* setup
      const answers = yield* Effect.forEach(Array.from({ length: 50 }), () => ask(port, "/shop"), { concurrency: 10 })
      const sent = yield* arrived(analytics, 50)
      assert.deepStrictEqual(
        new Set(sent.map(({ requestId }) => requestId)),
        new Set(answers.map((answer) => header(answer, "x-request-id")))
      )
      assert.isBelow(analytics.requests.length, 20)
    })
  )

  it.live("never delays a response, however analytics is", () =>
    Effect.gen(function* () {
      const { analytics, port } = yield* setup
      const inTime = ask(port, "/shop").pipe(
        Effect.timeoutOrElse({ duration: "500 millis", orElse: () => Effect.die(new Error("delayed")) })
      )
      analytics.become(Upstream.hangs)
      for (let i = 0; i < 20; i++) yield* inTime
      yield* Gateway.eventually(
        Effect.sync(() => analytics.requests.length),
        (count) => count === 1
      )
      for (let i = 0; i < 20; i++) yield* inTime
      yield* analytics.stop
      for (let i = 0; i < 20; i++) yield* inTime
      const status = (yield* ask(port, "/status")).json()
      assert.deepInclude(status.counters, { recordsSent: 0, recordsDropped: 0, recordsWaiting: 60 })
    })
  )
})

const offered = (id: string) =>
  AccountText.record(
    new Account(
      {
        requestId: RequestId.make(id),
        method: "GET",
        url: "/shop",
        path: "/shop",
        host: "",
        client: undefined,
        traceparent: undefined,
        hasBody: false,
        requestBytes: undefined,
        header: () => undefined,
        upgrade: undefined,
        ambiguity: undefined
      },
      Route.none
    )
  )

/** A sender in a scope of its own, so that a test can end it. */
const sender = Effect.fnUntraced(function* (url: string) {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(
    RecordSender.layer(url).pipe(Layer.provide(FetchHttpClient.layer), Layer.provide(Logger.layer([]))),
    scope
  )
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  return { ...Context.get(context, RecordSender), end: Scope.close(scope, Exit.void) }
})

const ids = (analytics: Upstream.Upstream) => records(analytics).map(({ requestId }) => requestId)

describe("RecordSender", () => {
  it.live("sends in batches of 5000 at the most, in the order in which they came", () =>
    Effect.gen(function* () {
      const analytics = yield* Upstream.make(accepts)
      const { counters, offer } = yield* sender(analytics.url)
      const expected = Array.from({ length: 12_500 }, (_, i) => `r${i}`)
      for (const id of expected) offer(offered(id))
      yield* Gateway.eventually(Effect.sync(counters), ({ recordsWaiting }) => recordsWaiting === 0)
      assert.deepStrictEqual(ids(analytics), expected)
      assert.deepStrictEqual(
        batches(analytics).map((batch) => batch.length),
        [5000, 5000, 2500]
      )
      assert.deepStrictEqual(counters(), { recordsSent: 12_500, recordsDropped: 0, recordsWaiting: 0 })
    })
  )

  it.live("drops and counts what comes beyond 20000 while analytics is away", () =>
    Effect.gen(function* () {
      const { counters, offer } = yield* sender(Gateway.nowhere)
      for (let i = 0; i < 20_123; i++) offer(offered(`r${i}`))
      assert.deepStrictEqual(counters(), { recordsSent: 0, recordsDropped: 123, recordsWaiting: 20_000 })
    })
  )

  it.live("sends a batch again whose answer was lost", () =>
    Effect.gen(function* () {
      const analytics = yield* Upstream.make((request) => void request.whole.then(() => request.socket.destroy()))
      const { counters, offer } = yield* sender(analytics.url)
      offer(offered("a"))
      yield* Gateway.eventually(
        Effect.sync(() => ids(analytics).length),
        (count) => count >= 1
      )
      analytics.become(accepts)
      offer(offered("b"))
      yield* Gateway.eventually(Effect.sync(counters), ({ recordsSent }) => recordsSent === 2)
      const all = ids(analytics)
      assert.isAbove(all.filter((id) => id === "a").length, 1)
      assert.strictEqual(all.filter((id) => id === "b").length, 1)
    })
  )

  it.live("drops and counts a batch that analytics calls invalid, and goes on with the next", () =>
    Effect.gen(function* () {
      const problem = { type: "urn:opsbuddy:problem:invalid-request", title: "No", status: 400, errors: [] }
      const analytics = yield* Upstream.make(
        Upstream.replies("400 Bad Request", ["Content-Type: application/problem+json"], JSON.stringify(problem))
      )
      const { counters, offer } = yield* sender(analytics.url)
      offer(offered("a"))
      yield* Gateway.eventually(Effect.sync(counters), ({ recordsDropped }) => recordsDropped === 1)
      analytics.become(accepts)
      offer(offered("b"))
      yield* Gateway.eventually(Effect.sync(counters), ({ recordsSent }) => recordsSent === 1)
    })
  )

  it.effect("does not wait for an answer for ever", () =>
    Effect.gen(function* () {
      const analytics = yield* Upstream.make(Upstream.hangs)
      const { counters, offer } = yield* sender(analytics.url)
      offer(offered("a"))
      yield* TestClock.withLive(
        Gateway.eventually(
          Effect.sync(() => analytics.requests.length),
          (count) => count === 1
        )
      )
      analytics.become(accepts)
      yield* TestClock.adjust("11 seconds")
      yield* TestClock.withLive(Gateway.eventually(Effect.sync(counters), ({ recordsSent }) => recordsSent === 1))
    })
  )

  it.live("sends all that waits when it ends, once, also what is on its way at that moment", () =>
    Effect.gen(function* () {
      const analytics = yield* Upstream.make(Upstream.hangs)
      const { end, offer } = yield* sender(analytics.url)
      const expected = Array.from({ length: 12_500 }, (_, i) => `r${i}`)
      for (const id of expected) offer(offered(id))
      yield* Gateway.eventually(
        Effect.sync(() => analytics.requests.length),
        (count) => count === 1
      )
      analytics.become(accepts)
      yield* end
      assert.deepStrictEqual(
        batches(analytics)
          .slice(1)
          .flat()
          .map(({ requestId }) => requestId),
        expected
      )
    })
  )

  it.live("ends within about 2 s when analytics is silent", () =>
    Effect.gen(function* () {
      const analytics = yield* Upstream.make(Upstream.hangs)
      const { end, offer } = yield* sender(analytics.url)
      offer(offered("a"))
      yield* end.pipe(Effect.timeoutOrElse({ duration: "4 seconds", orElse: () => Effect.die(new Error("hangs")) }))
    })
  )
})
