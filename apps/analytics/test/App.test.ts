import { assert, layer } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { Address, get, send } from "./server.ts"

const sendJson = (entries: unknown) => send("/api/analytics/logs", "application/json", JSON.stringify(entries))
const sendRequests = (records: unknown) => send("/api/analytics/requests", "application/json", JSON.stringify(records))

const record = (id: string, timestamp: string, members: Record<string, unknown> = {}) => ({
  requestId: id,
  timestamp,
  method: "GET",
  path: "/x",
  route: "files",
  service: "files",
  status: 200,
  durationMillis: 10,
  ...members
})

layer(Address.layer, { excludeTestServices: true })("The analytics app", (it) => {
  it.effect("tells a request's story, and answers 404 where there is none", () =>
    Effect.gen(function* () {
      const sent = record("story/1", "2026-01-01T00:00:01.500Z", { status: 503, cause: "circuit-open" })
      yield* sendRequests([record("story/1", "2025-12-31T00:00:00Z"), sent])
      const said = (message: string, timestamp: string) => ({
        level: "info",
        service: "s",
        message,
        timestamp,
        requestId: "story/1"
      })
      yield* sendJson([said("second", "2026-01-01T00:00:01.000Z"), said("first", "2026-01-01T00:00:00.000Z")])
      const { body } = yield* get(`/api/analytics/requests/${encodeURIComponent("story/1")}`)
      assert.deepStrictEqual(body, {
        request: sent,
        logs: [said("first", "2026-01-01T00:00:00.000Z"), said("second", "2026-01-01T00:00:01.000Z")]
      })
      const missing = yield* get("/api/analytics/requests/nobody")
      assert.strictEqual(missing.status, 404)
      assert.strictEqual(missing.body.type, "urn:opsbuddy:problem:request-not-found")
    })
  )

  it.effect("counts a batch once that the gateway sends again, with the records that came since", () =>
    Effect.gen(function* () {
      const batch = Array.from({ length: 100 }, (_, i) =>
        record(`retry-${i}`, `2026-02-01T00:00:0${i % 10}.000Z`, { durationMillis: i, status: i < 7 ? 500 : 404 })
      )
      assert.deepStrictEqual((yield* sendRequests(batch)).body, { accepted: 100 })
      assert.deepStrictEqual((yield* sendRequests([...batch, record("retry-new", "2026-02-01T00:00:00Z")])).body, {
        accepted: 101
      })
      const range = { from: "2026-02-01T00:00:00Z", to: "2026-02-01T00:01:00Z" }
      const { body } = yield* get("/api/analytics/metrics", range)
      const [files] = body.items ?? []
      assert.strictEqual(files?.requests, 101)
      assert.strictEqual(files?.errors, 7)
      assert.deepStrictEqual((yield* get("/api/analytics/metrics", { ...range, service: "utility" })).body.items, [])
    })
  )

  it.effect("names what is wrong with request records, and stores none of them", () =>
    Effect.gen(function* () {
      const good = record("refused", "2026-03-01T00:00:00.000Z")
      const { body, status } = yield* sendRequests([good, { ...good, status: "200", methud: "GET" }])
      assert.strictEqual(status, 400)
      assert.deepStrictEqual(
        body.errors?.map(({ path }) => path),
        [
          ["payload", 1, "methud"],
          ["payload", 1, "status"]
        ]
      )
      for (const text of ["", "[", "{}", "null"]) {
        const answer = yield* send("/api/analytics/requests", "application/json", text)
        assert.strictEqual(answer.status, 400)
        assert.deepStrictEqual(answer.body.errors?.[0]?.path, ["payload"])
      }
      const nested = yield* send("/api/analytics/requests", "application/json", "[".repeat(300_000))
      assert.strictEqual(nested.status, 400)
      const deeper = yield* send("/api/analytics/requests", "application/json", "[".repeat(1_000_000))
      assert.strictEqual(deeper.status, 413)
      assert.include(deeper.body.detail, "record 0 has more than")
      assert.strictEqual((yield* send("/api/analytics/requests", "text/plain", "[]")).status, 415)
      assert.strictEqual((yield* get("/api/analytics/requests/refused")).status, 404)
    })
  )

  it.effect("sums up the last hour when no time is given", () =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const at = (millis: number) => new Date(now + millis).toISOString()
      yield* sendRequests([
        record("recent", at(-60_000), { service: "recent" }),
        record("older", at(-3_660_000), { service: "recent" }),
        record("later", at(60_000), { service: "recent" })
      ])
      const { body } = yield* get("/api/analytics/metrics", { service: "recent" })
      assert.deepStrictEqual(body.items, [
        { service: "recent", route: "files", requests: 1, errors: 0, p50: 10, p95: 10, p99: 10 }
      ])
      assert.strictEqual(Date.parse(String(body.to)) - Date.parse(String(body.from)), 3_600_000)
    })
  )

  it.effect("asks the database for its health and tells where the data is", () =>
    Effect.gen(function* () {
      const health = yield* get("/health")
      assert.strictEqual(health.status, 200)
      assert.strictEqual(health.body.database, "healthy")
      const { body } = yield* get("/status")
      assert.deepInclude(body.storage, { kind: "duckdb" })
    })
  )
})
