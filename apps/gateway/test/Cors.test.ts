import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Answer, ask, causeOf, header } from "./client.ts"
import * as Gateway from "./gateway.ts"
import { values } from "./http1.ts"
import * as Upstream from "./upstream.ts"

const origin = "https://app.example.com"

/** The gateway before an upstream that answers with these headers. */
const behind = Effect.fnUntraced(function* (route: Gateway.RouteSettings, headers: ReadonlyArray<string> = []) {
  const upstream = yield* Upstream.make(Upstream.replies("200 OK", headers, "hello"))
  return { upstream, port: yield* Gateway.make({ targets: [upstream.url], route }) }
})

const vary = (answer: Answer) =>
  values(answer.head, "vary")
    .flatMap((line) => line.split(/, */))
    .map((name) => name.toLowerCase())
    .sort()

const preflight = (method: string, from = origin) => ({
  method: "OPTIONS",
  headers: { Origin: from, "Access-Control-Request-Method": method }
})

const allowed = (answer: Answer) => [
  header(answer, "access-control-allow-origin"),
  header(answer, "access-control-allow-credentials")
]

describe("Cross-origin access", () => {
  it.live("is closed where a route says nothing: the gateway adds nothing, and the upstream answers preflights", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind({})
      for (const answer of [
        yield* ask(port, "/shop", { headers: { Origin: origin } }),
        yield* ask(port, "/shop", preflight("GET"))
      ]) {
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(
          answer.head.headers.filter(([name]) => /^(access-control-|vary)/i.test(name)),
          []
        )
      }
      assert.lengthOf(upstream.requests, 2)
    })
  )

  it.live("is given to the origins that are named, with Vary so that caches keep them apart", () =>
    Effect.gen(function* () {
      const { port } = yield* behind({ cors: { origins: [origin], credentials: true } }, ["Vary: Accept-Encoding"])
      const answer = yield* ask(port, "/shop", { headers: { Origin: origin } })
      assert.deepStrictEqual(allowed(answer), [origin, "true"])
      assert.strictEqual(header(answer, "access-control-expose-headers"), "x-request-id")
      assert.deepStrictEqual(vary(answer), ["accept-encoding", "origin"])
      for (const headers of [{ Origin: "https://evil.example.com" }, { Origin: "null" }, {}]) {
        const other = yield* ask(port, "/shop", { headers })
        assert.strictEqual(other.status, 200)
        assert.deepStrictEqual(allowed(other), [undefined, undefined])
        assert.deepStrictEqual(vary(other), ["accept-encoding", "origin"])
      }
    })
  )

  it.live("is the route's to give, whatever the upstream says", () =>
    Effect.gen(function* () {
      const { port } = yield* behind({ cors: { origins: [origin] } }, [
        "Access-Control-Allow-Origin: *",
        "Access-Control-Allow-Credentials: true"
      ])
      const answer = yield* ask(port, "/shop", { headers: { Origin: "https://evil.example.com" } })
      assert.deepStrictEqual(allowed(answer), [undefined, undefined])
      assert.deepStrictEqual(allowed(yield* ask(port, "/shop", { headers: { Origin: origin } })), [origin, undefined])
    })
  )

  it.live("is told to pages that read the gateway's own refusals too", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind({ cors: { origins: ["*"] } })
      yield* upstream.stop
      const answer = yield* ask(port, "/shop", { headers: { Origin: origin } })
      assert.strictEqual(causeOf(answer), "connect-failed")
      assert.deepStrictEqual(allowed(answer), ["*", undefined])
      assert.deepStrictEqual(vary(answer), [])
    })
  )

  it.live("is asked for by a preflight, which never reaches the upstream, whatever methods the route names", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind({
        methods: ["GET", "POST"],
        cors: { origins: [origin], methods: ["GET", "POST"], headers: ["x-user"], maxAge: "1h" }
      })
      const answer = yield* ask(port, "/shop/1", preflight("POST"))
      assert.strictEqual(answer.status, 204)
      assert.deepStrictEqual(allowed(answer), [origin, undefined])
      assert.strictEqual(header(answer, "access-control-allow-methods"), "GET, POST")
      assert.strictEqual(header(answer, "access-control-allow-headers"), "x-user")
      assert.strictEqual(header(answer, "access-control-max-age"), "3600")
      assert.deepStrictEqual(vary(answer), [
        "access-control-request-headers",
        "access-control-request-method",
        "origin"
      ])
      const refused = yield* ask(port, "/shop/1", preflight("POST", "https://evil.example.com"))
      assert.deepStrictEqual(allowed(refused), [undefined, undefined])
      assert.isUndefined(header(refused, "access-control-allow-methods"))
      assert.strictEqual((yield* ask(port, "/shop/1", preflight("DELETE"))).status, 405)
      assert.strictEqual((yield* ask(port, "/shop/1", { method: "OPTIONS" })).status, 405)
      assert.lengthOf(upstream.requests, 0)
    })
  )
})

describe("What a route changes", () => {
  it.live("security headers are added where the upstream has set none", () =>
    Effect.gen(function* () {
      const { port } = yield* behind({ securityHeaders: true }, ["X-Frame-Options: SAMEORIGIN"])
      const answer = yield* ask(port, "/shop")
      assert.deepStrictEqual(values(answer.head, "x-frame-options"), ["SAMEORIGIN"])
      assert.deepStrictEqual(values(answer.head, "x-content-type-options"), ["nosniff"])
      assert.deepStrictEqual(values(answer.head, "referrer-policy"), ["strict-origin-when-cross-origin"])
    })
  )

  it.live("a redirect is answered without an upstream", () =>
    Effect.gen(function* () {
      const port = yield* Gateway.serve({
        builtIn: {
          routes: [
            { host: "www.example.com", redirect: { to: "https://example.com/", status: 308 } },
            { path: "/old", redirect: { to: "/new" } }
          ]
        }
      })
      const moved = yield* ask(port, "/a?b", { headers: { Host: "WWW.example.com:8000" } })
      assert.deepStrictEqual([moved.status, header(moved, "location")], [308, "https://example.com/"])
      const old = yield* ask(port, "/old/x")
      assert.deepStrictEqual([old.status, header(old, "location")], [302, "/new"])
      assert.isDefined(header(old, "x-request-id"))
    })
  )

  const prefixes = [
    { route: { stripPrefix: true }, paths: { "/shop": "/", "/shop/": "/", "/shop/a?b=/shop": "/a?b=/shop" } },
    { route: { stripPrefix: true }, paths: { "/%73hop/a": "/a", "//shop/a": "/a", "/shop?x": "/?x" } },
    { route: { replacePrefix: "/v2" }, paths: { "/shop": "/v2", "/shop/a%20b": "/v2/a%20b", "/shop?x": "/v2?x" } },
    { route: { replacePrefix: "/" }, paths: { "/shop/a": "/a" } },
    { route: {}, paths: { "/shop/a": "/shop/a" } }
  ]
  for (const { paths, route } of prefixes) {
    it.live(`the path, by ${JSON.stringify(route)}: ${JSON.stringify(paths)}`, () =>
      Effect.gen(function* () {
        const upstream = yield* Upstream.make()
        const port = yield* Gateway.make({ targets: [upstream.url], route })
        for (const [asked, got] of Object.entries(paths)) {
          assert.strictEqual((yield* ask(port, asked)).json().target, got, asked)
        }
      })
    )
  }

  it.live("headers are set and removed on both ways", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* behind(
        {
          requestHeaders: { set: { "X-From": "gateway" }, remove: ["Cookie"] },
          responseHeaders: { set: { Server: "shop" }, remove: ["X-Powered-By"] }
        },
        ["Server: secret/1.0", "X-Powered-By: PHP", "X-Other: stays"]
      )
      const answer = yield* ask(port, "/shop", { headers: { Cookie: "a=b", "X-From": "client", "X-Stays": "yes" } })
      const [request] = upstream.requests
      const sent = (name: string) => request && Upstream.headerOf(request, name)
      assert.deepStrictEqual(["cookie", "x-from", "x-stays"].map(sent), [undefined, "gateway", "yes"])
      const got = ["server", "x-powered-by", "x-other"].map((name) => header(answer, name))
      assert.deepStrictEqual(got, ["shop", undefined, "stays"])
    })
  )

  it.live("a method that no route at the path serves is answered with 405 and those that are", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const port = yield* Gateway.serve({
        builtIn: {
          upstreams: { shop: { targets: [upstream.url] } },
          routes: [
            { path: "/shop", methods: ["GET"], upstream: "shop" },
            { path: "/shop", methods: ["PUT"], headers: { "x-admin": "*" }, upstream: "shop" },
            { path: "/shop", methods: ["POST"], upstream: "shop" }
          ]
        }
      })
      const answer = yield* ask(port, "/shop", { method: "PUT" })
      assert.strictEqual(answer.status, 405)
      assert.strictEqual(causeOf(answer), "method-not-allowed")
      assert.strictEqual(header(answer, "allow"), "GET, HEAD, POST")
      assert.deepStrictEqual(answer.json().allow, ["GET", "HEAD", "POST"])
      const statuses = yield* Effect.forEach(
        [{ method: "HEAD" }, { method: "POST" }, { method: "PUT", headers: { "x-admin": "1" } }],
        (question) => Effect.map(ask(port, "/shop", question), ({ status }) => status)
      )
      assert.deepStrictEqual(statuses, [200, 200, 200])
    })
  )
})
