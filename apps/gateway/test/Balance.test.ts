import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { ask, causeOf, header, open, post } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

/** Targets that tell their place in the list. */
const targets = (count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => index),
    (index) => Upstream.make(Upstream.replies("200 OK", [`X-Name: ${"abcd"[index]}`]))
  )

const behind = Effect.fnUntraced(function* (count: number, settings: Gateway.UpstreamSettings) {
  const upstreams = yield* targets(count)
  const urls = upstreams.map(({ url }) => url)
  return { upstreams, urls, port: yield* Gateway.make({ targets: urls, upstream: { health: "off", ...settings } }) }
})

/** Who answers so many requests, in their order. */
const answering = (port: number, count: number, headers: Readonly<Record<string, string>> = {}) =>
  Effect.map(
    Effect.forEach(Array(count), () => ask(port, "/shop", { headers })),
    (answers) => answers.map((answer) => header(answer, "x-name") ?? String(answer.status)).join("")
  )

const sorted = (text: string) => [...text].sort().join("")

const states = (port: number) => Effect.map(Gateway.shop(port), (status) => status.targets.map(({ health }) => health))

describe("Balance", () => {
  it.live("takes turns by default", () =>
    Effect.gen(function* () {
      const { port } = yield* behind(3, {})
      assert.strictEqual(yield* answering(port, 9), "abcabcabc")
    })
  )

  it.live("by weight gives each its share, spread", () =>
    Effect.gen(function* () {
      const [a, b] = yield* targets(2)
      const port = yield* Gateway.serve({
        builtIn: {
          upstreams: {
            shop: {
              targets: [{ url: a?.url ?? "", weight: 3 }, { url: b?.url ?? "" }],
              balance: "weighted",
              health: "off"
            }
          },
          routes: [{ path: "/shop", upstream: "shop" }]
        }
      })
      const order = yield* answering(port, 8)
      assert.strictEqual(sorted(order), "aaaaaabb")
      assert.notInclude(order, "aaaaa")
    })
  )

  it.live("by least requests leaves a busy target alone", () =>
    Effect.gen(function* () {
      const { port, upstreams } = yield* behind(2, { balance: "least-requests" })
      for (const upstream of upstreams) upstream.become(Upstream.hangs)
      yield* open(port, "/shop")
      const busy = yield* Gateway.eventually(
        Effect.sync(() => upstreams.findIndex(({ requests }) => requests.length === 1)),
        (index) => index !== -1
      )
      for (const [index, upstream] of upstreams.entries()) {
        upstream.become(Upstream.replies("200 OK", [`X-Name: ${"ab"[index]}`]))
      }
      assert.strictEqual(yield* answering(port, 10), (busy === 0 ? "b" : "a").repeat(10))
    })
  )

  it.live("by hash sends a key always to the same target, and moves only the keys of one that is gone", () =>
    Effect.gen(function* () {
      const { port, upstreams } = yield* behind(3, { balance: { hash: { by: "header:X-User" } } })
      const users = Array.from({ length: 30 }, (_, index) => `user-${index}`)
      const ask3 = (user: string) => answering(port, 3, { "X-User": user })
      const before = yield* Effect.forEach(users, ask3)
      for (const [first, ...others] of before) assert.deepStrictEqual(new Set(others), new Set(first))
      assert.deepStrictEqual(new Set(before.map(([first]) => first)), new Set(["a", "b", "c"]))
      yield* upstreams[0]?.stop ?? Effect.void
      const after = yield* Effect.forEach(users, ask3)
      for (const [index, now] of after.entries()) {
        if (before[index] === "aaa") assert.match(now, /^(b|c){3}$/)
        else assert.strictEqual(now, before[index])
      }
    })
  )

  it.live("by hash of the client sends one client always to the same target", () =>
    Effect.gen(function* () {
      const { port } = yield* behind(3, { balance: "hash" })
      const order = yield* answering(port, 6)
      assert.strictEqual(order, order[0]?.repeat(6))
    })
  )
})

describe("A target that fails time and again", () => {
  const outliers = { consecutiveFailures: 2, ejectFor: "1s" }

  it.live("is left out for a while, each time longer, and comes back by itself", () =>
    Effect.gen(function* () {
      const { port, upstreams, urls } = yield* behind(2, { outliers })
      const [bad] = upstreams
      bad?.become(Upstream.replies("503 No"))
      assert.strictEqual(yield* answering(port, 4), "bbbb")
      assert.deepStrictEqual(yield* states(port), ["ejected", "unknown"])
      assert.strictEqual(yield* answering(port, 4), "bbbb")
      assert.lengthOf(bad?.requests ?? [], 2)
      yield* Gateway.eventually(states(port), ([first]) => first === "unknown")
      assert.strictEqual(yield* answering(port, 4), "bbbb")
      assert.lengthOf(bad?.requests ?? [], 4)
      bad?.become(Upstream.replies("200 OK", ["X-Name: a"]))
      yield* Gateway.eventually(states(port), ([first]) => first === "unknown")
      assert.strictEqual(sorted(yield* answering(port, 6)), "aaabbb")
      const events = (yield* ask(port, "/api/gateway/events?upstream=shop")).json().items as ReadonlyArray<{
        readonly kind: string
        readonly target?: string
        readonly cause: string
      }>
      const ejections = events.filter(({ kind }) => kind === "target-ejected")
      assert.deepStrictEqual(
        ejections.map(({ cause, target }) => ({ cause, target })),
        ["ejected for 1 s", "ejected for 2 s, the 2. time"].map((how) => ({
          cause: `2 consecutive failures, last: status 503 from ${urls[0]}; ${how}`,
          target: urls[0]
        }))
      )
    })
  )

  it.live("comes back at once when it had gone and is started again", () =>
    Effect.gen(function* () {
      const { port, upstreams } = yield* behind(2, {
        outliers: { ...outliers, ejectFor: "1m" },
        health: { every: "10m", unhealthyAfter: 100 }
      })
      const [a] = upstreams
      yield* Gateway.checked(port)
      yield* a?.stop ?? Effect.void
      assert.strictEqual(yield* answering(port, 4), "bbbb")
      yield* Gateway.eventually(Gateway.shop(port), ({ targets: [first] }) => first?.detail === "connection failed")
      assert.deepStrictEqual(yield* states(port), ["ejected", "healthy"])
      yield* a?.restart ?? Effect.void
      yield* Gateway.eventually(states(port), ([first]) => first === "healthy")
      assert.strictEqual(sorted(yield* answering(port, 4)), "aabb")
      const events = (yield* ask(port, "/api/gateway/events?upstream=shop")).json().items as ReadonlyArray<object>
      assert.deepInclude(events.at(-1), {
        kind: "target-restored",
        cause: "it answers its health check again: healthy"
      })
    })
  )

  it.live("is not left out where half of the targets are already", () =>
    Effect.gen(function* () {
      const { port, upstreams } = yield* behind(4, {
        outliers,
        retry: { attempts: 1 },
        circuit: { consecutiveFailures: 1000 }
      })
      for (const upstream of upstreams) upstream.become(Upstream.replies("503 No"))
      yield* answering(port, 40)
      const found = yield* states(port)
      assert.strictEqual(found.filter((state) => state === "ejected").length, 2)
      assert.isTrue(upstreams.every(({ requests }) => requests.length >= 2))
    })
  )
})

describe("What requests find out", () => {
  it.live("has a target that refuses them checked at once, and again when it answers one", () =>
    Effect.gen(function* () {
      const { port, upstreams } = yield* behind(2, { health: { every: "10m" }, retry: { budget: 1 } })
      const [a, b] = upstreams
      yield* Gateway.checked(port)
      yield* a?.stop ?? Effect.void
      assert.strictEqual(yield* answering(port, 4), "bbbb")
      yield* Gateway.eventually(states(port), ([first]) => first === "failing", "3 seconds")
      yield* a?.restart ?? Effect.void
      yield* b?.stop ?? Effect.void
      // The one that is left out is asked where the other has failed.
      assert.strictEqual(yield* answering(port, 1), "a")
      yield* Gateway.eventually(states(port), ([first]) => first === "healthy", "3 seconds")
    })
  )

  it.live("counts connections that break at one moment as one failure, and ejects nobody for it", () =>
    Effect.gen(function* () {
      const { port, upstreams } = yield* behind(2, { retry: { attempts: 1 } })
      for (const upstream of upstreams) upstream.become(Upstream.hangs)
      const asked = yield* Effect.forkChild(Effect.forEach(Array(20), () => ask(port, "/shop"), { concurrency: 20 }))
      const received = () => upstreams.flatMap(({ requests }) => requests)
      yield* Gateway.eventually(Effect.sync(received), ({ length }) => length === 20)
      for (const { socket } of received()) socket.destroy()
      yield* Fiber.join(asked)
      assert.deepStrictEqual(yield* states(port), ["unknown", "unknown"])
    })
  )
})

describe("A target that drains", () => {
  const drain = (port: number, target: string, verb = "drain") =>
    post(port, `/api/gateway/upstreams/shop/${verb}`, { target, reason: "disk is replaced" })

  it.live("ends what it has begun and gets nothing new, until it is taken back", () =>
    Effect.gen(function* () {
      const { port, upstreams, urls } = yield* behind(2, {})
      const [a] = upstreams
      a?.become(Upstream.hangs)
      const begun = yield* Effect.forkChild(ask(port, "/shop"), { startImmediately: true })
      yield* Gateway.eventually(Gateway.shop(port), (status) => status.targets[0]?.inFlight === 1)
      const answer = yield* drain(port, urls[0] ?? "")
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(yield* states(port), ["draining", "unknown"])
      assert.strictEqual(yield* answering(port, 4), "bbbb")
      for (const request of a?.requests ?? []) Upstream.replies("200 OK", [], "begun before")(request)
      assert.strictEqual((yield* Fiber.join(begun)).body.toString(), "begun before")
      assert.lengthOf(a?.requests ?? [], 1)
      a?.become(Upstream.replies("200 OK", ["X-Name: a"]))
      yield* drain(port, urls[0] ?? "", "undrain")
      assert.strictEqual(sorted(yield* answering(port, 4)), "aabb")
    })
  )

  it.live("is not asked even when it is the last one", () =>
    Effect.gen(function* () {
      const { port, urls } = yield* behind(2, {})
      yield* Effect.forEach(urls, (url) => drain(port, url))
      const answer = yield* ask(port, "/shop")
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(causeOf(answer), "no-healthy-target")
      assert.strictEqual(header(answer, "retry-after"), "5")
      assert.strictEqual(answer.json().detail, "all 2 targets of upstream shop are draining")
      assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "closed")
    })
  )
})
