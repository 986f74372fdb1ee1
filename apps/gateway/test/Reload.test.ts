import { assert, describe, it } from "@effect/vitest"
import type { ConfigMistake } from "@opsbuddy/contract/Gateway"
import { Effect, Fiber } from "effect"
import type { ConfigDocument } from "../src/config/ConfigDocument.ts"
import { type Answer, ask, causeOf, open, post } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Program from "./program.ts"
import * as Upstream from "./upstream.ts"

const document = (
  targets: ReadonlyArray<string>,
  upstream: Gateway.UpstreamSettings = {},
  route: Gateway.RouteSettings = {}
): ConfigDocument => ({
  upstreams: { shop: { health: "off", ...upstream, targets } },
  routes: [{ name: "shop", path: "/shop", upstream: "shop", ...route }]
})

const reload = (port: number) => post(port, "/api/gateway/config/reload", { reason: "a test" })

const config = (port: number) => Effect.map(ask(port, "/api/gateway/config"), (answer) => answer.json())

const revisionIs = (port: number, revision: number) =>
  Gateway.eventually(config(port), (found) => found.revision === revision)

const kinds = (port: number) =>
  Effect.map(ask(port, "/api/gateway/events"), (answer) =>
    (answer.json().items as ReadonlyArray<{ readonly kind: string; readonly cause: string }>)
      .filter(({ kind }) => kind.startsWith("config-"))
      .map(({ cause, kind }) => `${kind} ${cause}`)
  )

const broken = `upstreams:
  shop:
    targets: [http://127.0.0.1:9]
    balance: fastest
routes:
  - { path: /shop, upstream: shop }
`

const mistake = (file: string) => ({ file, line: 4, column: 14, path: "upstreams.shop.balance" })

describe("A changed configuration", () => {
  it.live("is loaded when its file changes, and when somebody asks for it", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const { file, port, write } = yield* Gateway.serveFile(document([upstream.url]))
      const first = yield* config(port)
      assert.deepInclude(first, { revision: 1, trigger: "start", file })
      assert.deepInclude(first.origins as Array<unknown>, {
        path: "upstreams.shop.health",
        from: "file",
        line: 1,
        column: JSON.stringify(document([upstream.url])).indexOf('"off"') + 1
      })
      write(document([upstream.url], {}, { path: "/store" }))
      assert.deepInclude(yield* revisionIs(port, 2), { trigger: "file-change" })
      assert.strictEqual((yield* ask(port, "/store")).status, 200)
      assert.strictEqual((yield* ask(port, "/shop")).status, 404)
      write(document([upstream.url], {}, { path: "/market" }))
      const answer = yield* reload(port)
      assert.strictEqual(answer.status, 200)
      assert.isAtLeast(Number(answer.json().revision), 3)
      assert.strictEqual((yield* ask(port, "/market")).status, 200)
    })
  )

  it.live("with a mistake changes nothing, and the mistake is named everywhere", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const { file, port, write } = yield* Gateway.serveFile(document([upstream.url]))
      write(broken)
      const running = yield* Gateway.eventually(config(port), ({ rejected }) => rejected !== undefined)
      assert.strictEqual(running.revision, 1)
      const rejected = running.rejected as { readonly trigger: string; readonly mistakes: ReadonlyArray<object> }
      assert.strictEqual(rejected.trigger, "file-change")
      assert.lengthOf(rejected.mistakes, 1)
      assert.deepInclude(rejected.mistakes[0], mistake(file))
      const answer = yield* reload(port)
      assert.strictEqual(answer.status, 400)
      assert.strictEqual(causeOf(answer), "config-rejected")
      const [named] = answer.json().mistakes as ReadonlyArray<ConfigMistake>
      assert.deepInclude(named, mistake(file))
      assert.include(named?.reason, "round-robin")
      const events = yield* kinds(port)
      assert.deepStrictEqual(
        events.map((text) => text.slice(0, text.indexOf(":"))),
        ["config-loaded start", "config-rejected file-change", "config-rejected request"]
      )
      assert.include(events[1], `${file}:4:14 upstreams.shop.balance: `)
      assert.strictEqual((yield* ask(port, "/shop")).status, 200)
      write(document([upstream.url], { concurrency: { max: 7 } }))
      assert.isUndefined((yield* revisionIs(port, 2)).rejected)
    })
  )

  it.live("is loaded by the process at SIGHUP", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const { file, write } = yield* Gateway.serveFile(document([upstream.url]))
      const program = yield* Program.start(file)
      // The same content in the same file: no change that is seen, and still a reload.
      program.signal("SIGHUP")
      assert.deepInclude(yield* revisionIs(program.port, 2), { trigger: "signal" })
      assert.strictEqual((yield* ask(program.port, "/shop")).status, 200)
      write(broken)
      program.signal("SIGHUP")
      yield* Gateway.eventually(config(program.port), ({ rejected }) => rejected !== undefined)
      assert.strictEqual((yield* ask(program.port, "/shop")).status, 200)
    })
  )
})

describe("A reload", () => {
  it.live("lets requests in flight end as they began", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make(Upstream.hangs)
      const { port, write } = yield* Gateway.serveFile(document([upstream.url]))
      const [waiting, streaming] = [yield* open(port, "/shop/a"), yield* open(port, "/shop/b")]
      yield* Gateway.eventually(
        Effect.sync(() => upstream.requests.length),
        (count) => count === 2
      )
      const [a, b] = [...upstream.requests].sort((one, other) => (one.target < other.target ? -1 : 1))
      b?.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
      yield* Effect.promise(() => streaming.head)
      const other = yield* Upstream.make()
      write({
        upstreams: { market: { targets: [other.url], health: "off" } },
        routes: [{ path: "/m", upstream: "market" }]
      })
      assert.strictEqual((yield* reload(port)).status, 200)
      assert.strictEqual((yield* ask(port, "/shop")).status, 404)
      if (a !== undefined) Upstream.replies("200 OK", [], "late")(a)
      b?.socket.write("6\r\nsecond\r\n0\r\n\r\n")
      yield* Effect.promise(() => Promise.all([waiting.done, streaming.done]))
      assert.isTrue(waiting.complete() && streaming.complete())
      assert.deepStrictEqual(
        [waiting, streaming].map(({ received }) => received().toString()),
        ["late", "firstsecond"]
      )
    })
  )

  it.live("keeps the circuits and the health of upstreams that stay as they are", () =>
    Effect.gen(function* () {
      const dead = yield* Effect.tap(Upstream.make(), ({ stop }) => stop)
      const other = yield* Upstream.make()
      const circuit = { consecutiveFailures: 2 }
      const withMarket = (max: number) => {
        const base = document([dead.url], { circuit, health: { every: "1m" }, retry: { attempts: 1 } })
        return { ...base, upstreams: { ...base.upstreams, market: { targets: [other.url], concurrency: { max } } } }
      }
      const { port, write } = yield* Gateway.serveFile(withMarket(1))
      yield* Gateway.checked(port)
      for (let i = 0; i < 2; i++) yield* ask(port, "/shop")
      const before = yield* Gateway.shop(port)
      assert.strictEqual(before.circuit.state, "open")
      write(withMarket(2))
      yield* reload(port)
      const after = yield* Gateway.shop(port)
      assert.strictEqual(after.circuit.state, "open")
      assert.deepInclude(after.targets[0], { health: "failing", requests: before.targets[0]?.requests ?? -1 })
      assert.strictEqual(causeOf(yield* ask(port, "/shop")), "circuit-open")
    })
  )

  it.live("keeps what is known of targets that a changed upstream still has, and what an operator holds", () =>
    Effect.gen(function* () {
      const [a, b, c] = yield* Effect.forEach([1, 2, 3], () => Upstream.make())
      const urls = [a?.url ?? "", b?.url ?? "", c?.url ?? ""]
      const health = { every: "1m" }
      const { port, write } = yield* Gateway.serveFile(document(urls.slice(0, 2), { health }))
      yield* Gateway.checked(port)
      yield* post(port, "/api/gateway/upstreams/shop/drain", { target: urls[0], reason: "a test" })
      yield* post(port, "/api/gateway/upstreams/shop/force", { state: "closed", reason: "a test" })
      yield* ask(port, "/shop")
      write(document(urls, { health, concurrency: { max: 9 } }))
      yield* reload(port)
      const { circuit, targets } = yield* Gateway.shop(port)
      assert.deepInclude(circuit, { state: "forced-closed", forcedReason: "a test" })
      assert.deepStrictEqual(
        targets.slice(0, 2).map(({ health, requests }) => ({ health, requests })),
        [
          { health: "draining", requests: 0 },
          { health: "healthy", requests: 1 }
        ]
      )
      yield* Gateway.eventually(Gateway.shop(port), (now) => now.targets[2]?.health === "healthy")
    })
  )

  it.live("counts a rate limit anew that it has changed", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const limited = (rate: string) => document([upstream.url], {}, { limit: { rate } })
      const { port, write } = yield* Gateway.serveFile(limited("100/h"))
      yield* ask(port, "/shop")
      write(limited("2/h"))
      yield* reload(port)
      const statuses = yield* Effect.forEach(Array(3), () => Effect.map(ask(port, "/shop"), ({ status }) => status))
      assert.deepStrictEqual(statuses, [200, 200, 429])
    })
  )

  it.live("fails no request, a hundred times under load", () =>
    Effect.gen(function* () {
      const upstreams = yield* Effect.forEach([1, 2], () => Upstream.make())
      const urls = upstreams.map(({ url }) => url)
      const numbered = (index: number) =>
        document(
          index % 3 === 0 ? urls.slice(1) : urls,
          { concurrency: { max: 100 + index } },
          { limit: { rate: "99999/s" } }
        )
      const { port, write } = yield* Gateway.serveFile(numbered(0))
      const failed: Array<Answer> = []
      let asked = 0
      const load = yield* Effect.forkChild(
        Effect.forEach(
          Array(8),
          () =>
            Effect.forever(
              Effect.map(ask(port, "/shop", { method: asked % 2 === 0 ? "GET" : "POST" }), (answer) => {
                asked++
                if (answer.status !== 200 || !answer.complete) failed.push(answer)
              })
            ),
          { concurrency: 8 }
        )
      )
      for (let index = 1; index <= 100; index++) {
        write(numbered(index))
        assert.strictEqual((yield* reload(port)).status, 200)
      }
      yield* Fiber.interrupt(load)
      assert.deepStrictEqual(
        failed.map(({ body }) => body.toString()),
        []
      )
      assert.isAbove(asked, 100)
    })
  )
})
