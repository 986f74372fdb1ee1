import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as Discovery from "../src/Discovery.ts"
import { ask, causeOf, header, open, post } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

/** A resolver whose answers the test gives; what has none is a name that cannot be looked up. */
const resolver = () => {
  const names = new Map<string, ReadonlyArray<string>>()
  return {
    names,
    interval: Duration.millis(200),
    lookup: (hostname: string) => {
      const addresses = names.get(hostname)
      return addresses === undefined
        ? Promise.reject(new Error(`ENOTFOUND ${hostname}`))
        : Promise.resolve(addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })))
    }
  }
}

/** Two servers at one port of two loopback addresses, each of which tells its name. */
const pair = Effect.gen(function* () {
  const named = (name: string) => Upstream.replies("200 OK", [`X-Name: ${name}`])
  const a = yield* Upstream.make(named("a"))
  const b = yield* Upstream.make(named("b"), { host: "127.0.0.2", port: a.port })
  return { a, b }
})

const behind = Effect.fnUntraced(function* (names: ReadonlyArray<string> | undefined, settings = {}) {
  const servers = yield* pair
  const resolving = resolver()
  if (names !== undefined) resolving.names.set("shop.test", names)
  const document = (more: object) => ({
    upstreams: {
      shop: { targets: [`dns://shop.test:${servers.a.port}`], health: "off", ...settings, ...more } as const
    },
    routes: [{ path: "/shop", upstream: "shop" }]
  })
  const gateway = yield* Effect.provideService(Gateway.serveFile(document({})), Discovery.Resolver, resolving)
  return { ...servers, ...gateway, names: resolving.names, document }
})

const answering = (port: number, count: number) =>
  Effect.map(
    Effect.forEach(Array(count), () => ask(port, "/shop")),
    (answers) =>
      answers
        .map((answer) => header(answer, "x-name") ?? String(answer.status))
        .sort()
        .join("")
  )

const targets = (port: number) => Effect.map(Gateway.shop(port), (status) => status.targets.map(({ url }) => url))

const targetsAre = (port: number, count: number) => Gateway.eventually(targets(port), (found) => found.length === count)

describe("A name with several addresses", () => {
  it.live("is as many targets, and more and fewer as it changes, without a restart", () =>
    Effect.gen(function* () {
      const { a, names, port } = yield* behind(["127.0.0.1"])
      assert.deepStrictEqual(yield* targets(port), [`http://127.0.0.1:${a.port}`])
      assert.strictEqual(yield* answering(port, 4), "aaaa")
      names.set("shop.test", ["127.0.0.2", "127.0.0.1"])
      yield* targetsAre(port, 2)
      assert.strictEqual(yield* answering(port, 4), "aabb")
      // One that is taken away ends what it has begun.
      a.become(Upstream.hangs)
      const begun = yield* Effect.forEach([1, 2], () => open(port, "/shop"))
      yield* Gateway.eventually(
        Effect.sync(() => a.requests.length),
        (count) => count === 7
      )
      names.set("shop.test", ["127.0.0.2"])
      yield* targetsAre(port, 1)
      const last = a.requests.at(-1)
      if (last !== undefined) Upstream.replies("200 OK", ["X-Name: a"])(last)
      yield* Effect.promise(() => Promise.all(begun.map(({ done }) => done)))
      assert.isTrue(begun.every(({ complete }) => complete()))
      assert.strictEqual(yield* answering(port, 4), "bbbb")
      const events = (yield* ask(port, "/api/gateway/events?upstream=shop")).json().items as ReadonlyArray<{
        readonly kind: string
        readonly to?: string
      }>
      assert.deepStrictEqual(
        events.filter(({ kind }) => kind === "targets-changed").map(({ to }) => to),
        [["1"], ["1", "2"], ["2"]].map((ends) => ends.map((end) => `http://127.0.0.${end}:${a.port}`).join(" "))
      )
    })
  )

  it.live("keeps its targets, and what is known of them, while it cannot be looked up, also over a reload", () =>
    Effect.gen(function* () {
      const { a, document, names, port, write } = yield* behind(["127.0.0.1", "127.0.0.2"])
      yield* post(port, "/api/gateway/upstreams/shop/drain", { target: `http://127.0.0.1:${a.port}`, reason: "a test" })
      names.delete("shop.test")
      write(document({ concurrency: { max: 9 } }))
      yield* post(port, "/api/gateway/config/reload", { reason: "a test" })
      const { targets } = yield* Gateway.shop(port)
      assert.deepStrictEqual(
        targets.map(({ health }) => health),
        ["draining", "unknown"]
      )
      assert.strictEqual(yield* answering(port, 4), "bbbb")
    })
  )

  it.live("that is not known yet is no target until it is", () =>
    Effect.gen(function* () {
      const { names, port } = yield* behind(undefined)
      const answer = yield* ask(port, "/shop")
      assert.strictEqual(causeOf(answer), "no-healthy-target")
      assert.strictEqual(answer.json().detail, "upstream shop has no target at the moment")
      names.set("shop.test", ["127.0.0.1"])
      yield* targetsAre(port, 1)
      assert.strictEqual(yield* answering(port, 1), "a")
    })
  )

  it.live("has new addresses checked as all others are", () =>
    Effect.gen(function* () {
      const { b, names, port } = yield* behind(["127.0.0.1"], { health: { every: "1s" } })
      yield* b.stop
      names.set("shop.test", ["127.0.0.1", "127.0.0.2"])
      yield* targetsAre(port, 2)
      yield* Gateway.eventually(Gateway.shop(port), (status) => status.targets[1]?.health === "failing")
      assert.strictEqual(yield* answering(port, 4), "aaaa")
    })
  )
})

it.live("A name is looked up by the system", () =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.make()
    const port = yield* Gateway.make({ targets: [`dns://localhost:${upstream.port}`], upstream: { health: "off" } })
    assert.include(yield* targets(port), upstream.url)
    assert.strictEqual((yield* ask(port, "/shop")).status, 200)
  })
)
