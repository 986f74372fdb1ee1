import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Answer, ask, causeOf, post } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

const behind = (behaviour: Upstream.Behaviour = Upstream.echo) =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.make(behaviour)
    const circuit = { consecutiveFailures: 2 }
    const settings = { health: "off", circuit, retry: { attempts: 1 } } as const
    return { upstream, port: yield* Gateway.make({ targets: [upstream.url], upstream: settings }) }
  })

const at = "/api/gateway/upstreams/shop"

const audit = (port: number, query = "") =>
  Effect.map(ask(port, `/api/gateway/audit${query}`), (answer) => ({
    answer,
    items: answer.json().items as ReadonlyArray<Record<string, unknown>>
  }))

const wrongFields = (answer: Answer) =>
  (answer.json().errors as ReadonlyArray<{ readonly path: ReadonlyArray<string> }>).map(({ path }) => path.join("."))

describe("An operator", () => {
  it.live("holds a circuit open, with the reason in the refusals, until it is released", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind()
      const held = yield* post(port, `${at}/force`, { state: "open", reason: "the disk is replaced" })
      assert.strictEqual(held.status, 200)
      assert.deepInclude(held.json().circuit, { state: "forced-open", forcedReason: "the disk is replaced" })
      const refused = yield* ask(port, "/shop")
      assert.deepInclude(refused.json(), {
        type: "urn:opsbuddy:problem:circuit-open",
        detail: "circuit of upstream shop held open by an operator: the disk is replaced"
      })
      assert.lengthOf(upstream.requests, 0)
      const released = yield* post(port, `${at}/release`, { reason: "the disk is there" })
      assert.deepInclude(released.json().circuit, { state: "closed" })
      assert.strictEqual((yield* ask(port, "/shop")).status, 200)
    })
  )

  it.live("holds a circuit closed, whatever fails", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind(Upstream.replies("503 No"))
      yield* post(port, `${at}/force`, { state: "closed", reason: "a false alarm" })
      for (let i = 0; i < 5; i++) yield* ask(port, "/shop")
      assert.lengthOf(upstream.requests, 5)
      assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "forced-closed")
    })
  )

  it.live("is told what is wrong with an action, and that action is not done", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind()
      for (const [path, payload] of [
        [`${at}/force`, { state: "open" }],
        [`${at}/release`, {}],
        [`${at}/drain`, { target: upstream.url }],
        [`${at}/undrain`, { target: upstream.url, reason: "  " }],
        ["/api/gateway/config/reload", { reason: "" }]
      ] as const) {
        const answer = yield* post(port, path, payload)
        assert.strictEqual(answer.status, 400, path)
        assert.strictEqual(causeOf(answer), "invalid-request", path)
        assert.deepStrictEqual(wrongFields(answer), ["payload.reason"], path)
      }
      const reason = "a test"
      const none = yield* post(port, "/api/gateway/upstreams/market/release", { reason })
      assert.deepStrictEqual([none.status, causeOf(none)], [404, "upstream-not-found"])
      const wrong = yield* post(port, `${at}/drain`, { target: "http://10.0.0.1:1", reason })
      assert.deepStrictEqual([wrong.status, causeOf(wrong)], [404, "target-not-found"])
      assert.strictEqual(wrong.json().detail, `the targets of shop are ${upstream.url}`)
      assert.lengthOf((yield* audit(port)).items, 0)
      assert.strictEqual((yield* ask(port, "/shop")).status, 200)
    })
  )

  it.live("is told of parameters, times and encodings that its endpoints do not know", () =>
    Effect.gen(function* () {
      const { port } = yield* behind()
      for (const [path, message] of [
        ["/api/gateway/config?x=1", "unknown parameter `x`; this endpoint takes no parameters"],
        ["/api/gateway/audit?form=1", "unknown parameter `form`; known parameters: limit, cursor, from, to"],
        [
          "/api/gateway/audit?from=2024-02-30T00:00:00Z",
          'Expected an RFC 3339 time such as 2026-01-31T09:30:00Z, got "2024-02-30T00:00:00Z"'
        ],
        ["/api/gateway/upstreams/%FF", "Expected UTF-8 in percent-encoding, got %FF"]
      ] as const) {
        const answer = yield* ask(port, path)
        assert.deepStrictEqual([answer.status, causeOf(answer)], [400, "invalid-request"], path)
        assert.strictEqual((answer.json().errors as ReadonlyArray<{ readonly message: string }>)[0]?.message, message)
      }
      const packed = yield* post(port, `${at}/release`, { reason: "a" }, { "Content-Encoding": "gzip" })
      assert.deepStrictEqual([packed.status, causeOf(packed)], [415, "unsupported-content-encoding"])
      assert.strictEqual((yield* ask(port, "/health?x=1")).status, 200)
    })
  )

  it.live("leaves each action in the audit, with who, why and in which request, and in the events", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind()
      const { url } = upstream
      yield* post(port, `${at}/force`, { state: "open", reason: "one" }, { "X-Request-Id": "r-1" })
      yield* post(port, `${at}/release`, { reason: "two" }, { "X-Request-Id": "r-2" })
      yield* post(port, `${at}/drain`, { target: url, reason: "three" }, { "X-Request-Id": "r-3" })
      yield* post(port, `${at}/undrain`, { target: url, reason: "four" }, { "X-Request-Id": "r-4" })
      yield* post(port, "/api/gateway/config/reload", { reason: "five" }, { "X-Request-Id": "r-5" })
      const { items } = yield* audit(port)
      const common = { principal: { subject: "local", kind: "local" } }
      const target = `target ${url} of upstream shop`
      assert.deepStrictEqual(
        items.map(({ hash: _, timestamp: __, ...rest }) => rest),
        [
          { sequence: 1, action: "gateway.force", resource: "upstream shop", reason: "one", detail: { state: "open" } },
          { sequence: 2, action: "gateway.release", resource: "upstream shop", reason: "two" },
          { sequence: 3, action: "gateway.drain", resource: target, reason: "three" },
          { sequence: 4, action: "gateway.undrain", resource: target, reason: "four" },
          { sequence: 5, action: "gateway.reload", resource: "configuration", reason: "five" }
        ].map((entry, index) => ({ ...entry, ...common, requestId: `r-${index + 1}` }))
      )
      assert.isTrue(items.every(({ hash }) => /^[0-9a-f]{64}$/.test(String(hash))))
      const events = (yield* ask(port, "/api/gateway/events")).json().items as ReadonlyArray<Record<string, string>>
      assert.deepStrictEqual(
        events.map(({ cause, kind }) => `${kind}: ${cause}`),
        [
          "config-loaded: start: 1 upstreams, 1 routes",
          "circuit-changed: forced open: one",
          "circuit-changed: released: two",
          "target-drained: three",
          "target-undrained: four",
          "config-loaded: request: 1 upstreams, 1 routes"
        ]
      )
    })
  )

  it.live("reads the audit by pages and by time", () =>
    Effect.gen(function* () {
      const { port } = yield* behind()
      for (let i = 0; i < 5; i++) yield* post(port, `${at}/release`, { reason: `${i}` })
      const reasons: Array<unknown> = []
      let query = "?limit=2"
      for (let page = 0; page < 3; page++) {
        const { answer, items } = yield* audit(port, query)
        reasons.push(items.map(({ reason }) => reason))
        query = `?limit=2&cursor=${answer.json().nextCursor}`
        assert.strictEqual(answer.json().nextCursor !== undefined, page < 2)
      }
      assert.deepStrictEqual(reasons, [["0", "1"], ["2", "3"], ["4"]])
      const hour = (offset: number) => new Date(Date.now() + offset * 3_600_000).toISOString()
      const between = (from: string, to: string) =>
        Effect.map(audit(port, `?from=${from}&to=${to}`), ({ items }) => items.length)
      assert.strictEqual(yield* between(hour(-1), hour(1)), 5)
      assert.strictEqual(yield* between(hour(1), hour(2)), 0)
      assert.strictEqual(yield* between(hour(-2), hour(-1)), 0)
    })
  )
})
