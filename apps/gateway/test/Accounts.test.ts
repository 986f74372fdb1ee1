import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as AccountText from "../src/AccountText.ts"
import * as RequestLog from "../src/RequestLog.ts"
import { ask, causeOf, open } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

/** What the gateway tells of a request; as JSON, of which a test looks at what it names. */
// biome-ignore lint/suspicious/noExplicitAny: any JSON
type Json = any

const account = (port: number, id: string): Effect.Effect<Json> =>
  Effect.map(
    Gateway.eventually(ask(port, `/api/gateway/requests/${id}`), ({ status }) => status === 200),
    (answer) => answer.json()
  )

const named = (id: string) => ({ "X-Request-Id": id })

const traceId = "0af7651916cd43dd8448eb211c80319c"

describe("The account of a request", () => {
  it.live("tells of a plain one where it went, why there, and how long it took", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make(Upstream.replies("201 Created", [], "hello"))
      const port = yield* Gateway.make({ targets: [upstream.url], route: { methods: ["POST"] } })
      yield* Gateway.checked(port)
      const traceparent = `00-${traceId}-b7ad6b7169203331-01`
      yield* ask(port, "/shop/a?secret=1", {
        method: "POST",
        body: "body",
        headers: { ...named("plain"), Host: "shop.example.com", traceparent }
      })
      const { answer, attempts, timestamp, ...rest } = yield* account(port, "plain")
      assert.deepStrictEqual(rest, {
        requestId: "plain",
        method: "POST",
        host: "shop.example.com",
        path: "/shop/a",
        client: "127.0.0.1",
        traceId,
        route: { name: "shop", matched: "any host, path /shop and below, method POST" },
        upstream: {
          name: "shop",
          circuit: "closed",
          active: 0,
          queued: 0,
          balance: "round-robin",
          targets: [{ url: upstream.url, state: "healthy" }]
        }
      })
      assert.isBelow(Math.abs(Date.parse(timestamp) - Date.now()), 60_000)
      const [attempt] = attempts
      assert.lengthOf(attempts, 1)
      assert.deepInclude(attempt, { target: upstream.url, outcome: "answered", status: 201 })
      assert.deepInclude(answer, { by: "upstream", status: 201, requestBytes: 4, responseBytes: 5 })
      assert.isAtMost(attempt.startedMillis + attempt.durationMillis, answer.durationMillis + 1)
      assert.isAbove(attempt.durationMillis, 0)
    })
  )

  it.live("tells of a retried one each attempt", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* Upstream.make(Upstream.replies("503 No")), yield* Upstream.make()]
      const port = yield* Gateway.make({ targets: [a.url, b.url], upstream: { health: "off" } })
      yield* ask(port, "/shop", { headers: named("retried") })
      const { answer, attempts } = yield* account(port, "retried")
      assert.deepStrictEqual(
        attempts.map(({ outcome, status, target }: Json) => ({ outcome, status, target })),
        [
          { outcome: "answered", status: 503, target: a.url },
          { outcome: "answered", status: 200, target: b.url }
        ]
      )
      assert.isAtLeast(attempts[1].startedMillis, attempts[0].startedMillis + attempts[0].durationMillis)
      assert.deepInclude(answer, { by: "upstream", status: 200 })
    })
  )

  it.live("tells of a refused one why, as the answer did", () =>
    Effect.gen(function* () {
      const upstream = yield* Effect.tap(Upstream.make(), ({ stop }) => stop)
      const settings = { health: "off", circuit: { consecutiveFailures: 1 }, retry: { attempts: 1 } } as const
      const port = yield* Gateway.make({ targets: [upstream.url], upstream: settings })
      const failed = yield* ask(port, "/shop", { headers: named("failed") })
      const detail = `connection refused by ${upstream.url}`
      assert.deepInclude(failed.json(), { detail, requestId: "failed" })
      const first = yield* account(port, "failed")
      assert.deepInclude(first.attempts[0], { outcome: "connect-failed", detail: "connection refused" })
      assert.deepInclude(first.answer, { by: "gateway", status: 502, cause: "connect-failed", detail })
      const refused = yield* ask(port, "/shop", { headers: named("refused") })
      const second = yield* account(port, "refused")
      assert.strictEqual(second.upstream.circuit, "open")
      assert.deepStrictEqual(second.attempts, [])
      assert.deepInclude(second.answer, { status: 503, cause: "circuit-open", detail: refused.json().detail })
      yield* ask(port, "/none", { headers: named("lost") })
      const lost = yield* account(port, "lost")
      assert.deepStrictEqual(lost.route, { name: "none", matched: "no route matches" })
      assert.deepInclude(lost.answer, { by: "gateway", status: 404, cause: "no-route" })
    })
  )

  it.live("tells of a rate-limited one the limit, its key and what was left", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const port = yield* Gateway.make({ targets: [upstream.url], route: { limit: { rate: "1/h" } } })
      for (const id of ["let", "refused"]) yield* ask(port, "/shop", { headers: named(id) })
      const common = { key: "client 127.0.0.1", limit: 1, remaining: 0, store: "local" }
      assert.deepStrictEqual((yield* account(port, "let")).limit, common)
      const refused = yield* account(port, "refused")
      assert.deepStrictEqual(refused.limit, common)
      assert.deepInclude(refused.answer, { by: "gateway", status: 429, cause: "rate-limited" })
      assert.deepStrictEqual(refused.attempts, [])
    })
  )

  it.live("tells of one whose client has left, and of one that broke off in its body", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make(Upstream.hangs)
      const port = yield* Gateway.make({ targets: [upstream.url], upstream: { health: "off" } })
      const left = yield* open(port, "/shop", { headers: named("left") })
      yield* Gateway.eventually(
        Effect.sync(() => upstream.requests.length),
        (count) => count === 1
      )
      left.socket.destroy()
      const gone = yield* account(port, "left")
      assert.deepInclude(gone.answer, { by: "gateway", status: 499, cause: "client-closed" })
      assert.deepInclude(gone.attempts[0], { outcome: "client-closed" })
      upstream.become((request) => {
        request.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        setTimeout(() => request.socket.destroy(), 50)
      })
      yield* ask(port, "/shop", { headers: named("broken") })
      const detail = "the connection broke after 5 bytes of the body"
      const { answer } = yield* account(port, "broken")
      assert.deepInclude(answer, { by: "upstream", status: 200, cause: "upstream-reset", detail, responseBytes: 5 })
    })
  )

  it.live("is not there for requests that never were", () =>
    Effect.gen(function* () {
      const port = yield* Gateway.serve({ builtIn: {} })
      const answer = yield* ask(port, "/api/gateway/requests/never")
      assert.deepStrictEqual([answer.status, causeOf(answer)], [404, "account-not-found"])
    })
  )
})

describe("The list of requests", () => {
  it.live("is newest first, by pages, and of those that are asked for", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const port = yield* Gateway.make({ targets: [upstream.url], upstream: { health: "off" } })
      for (let i = 0; i < 5; i++) {
        yield* ask(port, "/shop", { headers: named(`shop-${i}`) })
        yield* ask(port, "/none", { headers: named(`none-${i}`) })
      }
      const list = (query: string): Effect.Effect<Json> =>
        Effect.map(ask(port, `/api/gateway/requests${query}`), (answer) => answer.json())
      const ids = ({ items }: Json) => items.map(({ requestId }: Json) => requestId)
      const pages: Array<ReadonlyArray<string>> = []
      let cursor = ""
      for (let page = 0; page < 3; page++) {
        const found = yield* list(`?route=shop&limit=2${cursor}`)
        pages.push(ids(found))
        cursor = `&cursor=${found.nextCursor}`
        // What comes meanwhile moves no page.
        yield* ask(port, "/shop")
      }
      assert.deepStrictEqual(pages, [["shop-4", "shop-3"], ["shop-2", "shop-1"], ["shop-0"]])
      const all = (yield* list("?limit=1000")).items.length
      assert.strictEqual(all, 13)
      const lost = ["none-4", "none-3", "none-2", "none-1", "none-0"]
      assert.deepStrictEqual(ids(yield* list("?cause=no-route")), lost)
      assert.deepStrictEqual(ids(yield* list("?minStatus=400")), lost)
      assert.strictEqual((yield* list("?upstream=shop")).items.length, 8)
      assert.deepStrictEqual(ids(yield* list("?upstream=market")), [])
      for (const query of ["?cursor=x", "?limit=0", "?limit=1001", "?minStatus=high", "?status=500"]) {
        assert.strictEqual((yield* ask(port, `/api/gateway/requests${query}`)).status, 400, query)
      }
    })
  )
})

/** A text as the log takes it, of some length. */
const made = (id: string, length = 0) => `${AccountText.beginning(id)},"path":"${"x".repeat(length)}"}`

const idsOf = (log: RequestLog.RequestLog, before?: number) =>
  [...log.newest(before)].map(([, { requestId }]) => requestId)

describe("RequestLog", () => {
  it("keeps as many as its capacity, and forgets the oldest", () => {
    const log = RequestLog.make(3, 10_000)
    for (const id of ["a", "b", "c", "d", "e"]) log.add(made(id))
    assert.deepStrictEqual(idsOf(log), ["e", "d", "c"])
    assert.isUndefined(log.get("b"))
    assert.strictEqual(log.get("c")?.requestId, "c")
    assert.strictEqual(log.size().requests, 3)
  })

  it("keeps within its bytes, and always the newest, whatever their size", () => {
    const log = RequestLog.make(1000, 10_000)
    for (let i = 0; i < 1000; i++) {
      // Of other lengths each time, with characters of one to three bytes.
      log.add(made(`${i}`, (i * 37) % 2000).replace("xx", i % 2 === 0 ? "\u00e9" : "\u20ac"))
      const { bytes, requests } = log.size()
      assert.isAtMost(bytes, 10_000)
      // Whole and in order, whatever was written over.
      const expected = Array.from({ length: requests }, (_, back) => `${i - back}`)
      assert.deepStrictEqual(idsOf(log), expected)
    }
    log.add(made("huge", 20_000))
    assert.strictEqual(idsOf(log)[0], "999")
  })

  it("finds the newest of an id that is used again, and none that only begins like it", () => {
    const log = RequestLog.make(10, 10_000)
    log.add(made("a", 1))
    log.add(made("a", 2))
    log.add(made("ab", 3))
    assert.strictEqual(log.get("a")?.path, "xx")
    assert.strictEqual(log.get("ab")?.path, "xxx")
    assert.isUndefined(log.get("abc"))
  })

  it("goes on from a position while new ones come and old ones go", () => {
    const log = RequestLog.make(4, 10_000)
    for (const id of ["a", "b", "c", "d"]) log.add(made(id))
    const [, [position = 0] = []] = [...log.newest()]
    log.add(made("e"))
    assert.deepStrictEqual(idsOf(log, position), ["b"])
    for (const id of ["f", "g", "h"]) log.add(made(id))
    assert.deepStrictEqual(idsOf(log, position), [])
  })
})
