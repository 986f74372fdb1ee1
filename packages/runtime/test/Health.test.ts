import { assert, layer } from "@effect/vitest"
import { Effect, Ref } from "effect"
import { ask, members, problem } from "./app/Ask.ts"
import { Served } from "./app/Served.ts"

layer(Served.layer())("what a program tells about itself", (it) => {
  it.effect("is healthy, degraded or, with 503, unhealthy as its store answers at that moment", () =>
    Effect.gen(function* () {
      const { controls } = yield* Served
      for (const [state, status] of [
        ["healthy", 200],
        ["degraded", 200],
        ["unhealthy", 503],
        ["healthy", 200]
      ] as const) {
        yield* Ref.set(controls.database, state)
        const asked = yield* Ref.get(controls.asked)
        const answer = yield* ask("GET", "/health")
        assert.strictEqual(answer.status, status)
        assert.strictEqual(answer.headers.get("content-type"), "application/json")
        const body = members(answer)
        assert.hasAllKeys(body, ["status", "service", "database", "timestamp"])
        assert.deepInclude(body, { status: state, database: state })
        assert.match(JSON.stringify(body.service), /^\{"name":"utility","version":"\d+\.\d+\.\d+","uptime":[\d.e-]+\}$/)
        assert.match(String(body.timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        assert.strictEqual(yield* Ref.get(controls.asked), asked + 1)
      }
    })
  )

  it.effect("is ready only where it says so", () =>
    Effect.gen(function* () {
      const { readiness } = yield* Served
      yield* Ref.set(readiness, false)
      const not = yield* ask("GET", "/ready")
      assert.strictEqual(not.status, 503)
      problem(not, "not-ready", "/ready")
      yield* Ref.set(readiness, true)
      const ready = yield* ask("GET", "/ready")
      assert.deepStrictEqual([ready.status, ready.text], [200, '{"ready":true}'])
    })
  )

  it.effect("has details in /status, with counters of its own and those of the program", () =>
    Effect.gen(function* () {
      yield* ask("GET", "/nope")
      yield* ask("GET", "/api/things/defect")
      const before = members(yield* ask("GET", "/status"))
      yield* ask("GET", "/nope")
      const after = members(yield* ask("GET", "/status"))
      const counter = (body: typeof after, name: string) => Number(Reflect.get(Object(body.counters), name))
      assert.strictEqual(counter(after, "clientErrors") - counter(before, "clientErrors"), 1)
      assert.strictEqual(counter(after, "requests") - counter(before, "requests"), 2)
      assert.isAtLeast(counter(after, "serverErrors"), 1)
      assert.deepStrictEqual([counter(after, "inFlight"), counter(after, "own")], [1, 5])
      assert.deepInclude(after, { storage: { kind: "none", location: "nowhere", bytes: 3 } })
      assert.deepInclude(Object(after.runtime), { name: typeof Bun === "undefined" ? "node" : "bun", pid: process.pid })
    })
  )

  it.effect("has metrics in Prometheus' text format", () =>
    Effect.gen(function* () {
      yield* ask("GET", "/nope")
      const { headers, text } = yield* ask("GET", "/metrics")
      assert.strictEqual(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
      for (const line of text.trimEnd().split("\n"))
        assert.match(line, /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? -?[\d.e+-]+)$/)
      assert.match(text, /^http_server_requests_total\{method="GET",status="4xx"\} [1-9]\d*$/m)
      assert.match(text, /^process_resident_memory_bytes [1-9]\d*$/m)
    })
  )
})
