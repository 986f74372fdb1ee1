import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { type Answer, ask, causeOf, converse, header } from "./client.ts"
import * as Gateway from "./gateway.ts"
import { values } from "./http1.ts"
import * as Upstream from "./upstream.ts"

interface Shape {
  readonly port: number
  /** Behind `/`. */
  readonly open: Upstream.Upstream
  /** Behind `/admin`, which has another policy. */
  readonly guarded: Upstream.Upstream
  /** Behind `/public`, which is `/v1/public` there. */
  readonly moved: Upstream.Upstream
}

class Setup extends Context.Service<Setup, Shape>()("@opsbuddy/gateway/test/Ambiguity/Setup") {
  static readonly layer = Layer.effect(
    Setup,
    Effect.gen(function* () {
      const [open, guarded, moved] = [yield* Upstream.make(), yield* Upstream.make(), yield* Upstream.make()]
      const port = yield* Gateway.serve({
        builtIn: {
          upstreams: {
            open: { targets: [open.url] },
            guarded: { targets: [guarded.url] },
            moved: { targets: [moved.url] }
          },
          routes: [
            { name: "open", path: "/", upstream: "open" },
            { name: "guarded", path: "/admin", methods: ["GET"], upstream: "guarded" },
            { name: "moved", path: "/public", upstream: "moved", replacePrefix: "/v1/public" }
          ]
        }
      })
      return { port, open, guarded, moved }
    })
  )
}

/**
 * The path as the most generous server would read it: without what follows `?`, `#` or NUL, decoded as often as it can be, with
 * backslashes for slashes, without parameters, dot segments resolved, slashes joined.
 */
const generous = (target: string) => {
  let path = target.replace(/[?#].*$/s, "")
  for (let before = ""; before !== path; ) {
    before = path
    path = path.replace(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  }
  const segments: Array<string> = []
  for (const part of path.replaceAll("\\", "/").replace(/\0.*$/s, "").split("/")) {
    const segment = part.replace(/;.*$/, "")
    if (segment === "..") segments.pop()
    else if (segment !== "" && segment !== ".") segments.push(segment)
  }
  return `/${segments.join("/")}`
}

const isBelow = (path: string, prefix: string) => path === prefix || path.startsWith(`${prefix}/`)

const asked = Effect.fnUntraced(function* (target: string) {
  const { guarded, moved, open, port } = yield* Setup
  const before = [open, guarded, moved].map(({ requests }) => requests.length)
  const answer = yield* ask(port, target)
  const [opened, guardeds, moveds] = [open, guarded, moved].map(({ requests }, index) =>
    requests.slice(before[index]).map((request) => request.target)
  )
  return { answer, open: opened ?? [], guarded: guardeds ?? [], moved: moveds ?? [] }
})

const refusedAs = (answer: Answer) => `${answer.status} ${answer.body.length === 0 ? "bare" : causeOf(answer)}`

layer(Setup.layer, { excludeTestServices: true })("A path", (it) => {
  const hidden = [
    "/x/../admin",
    "/x/./../admin/y",
    "/./admin",
    "/x/%2e%2e/admin",
    "/x/%2E./admin",
    "/x/.%2e/admin",
    "/x/%2e%2e%2fadmin",
    "/x/..%2fadmin",
    "/x%2f..%2fadmin",
    "/%2fadmin",
    "/.%2fadmin",
    "/%2e%2fadmin",
    "/admin%2fx",
    "/%5cadmin",
    "/\\admin",
    "/x\\..\\admin",
    "/x/..\\admin",
    "/x/%5c..%5cadmin",
    "/admin%00",
    "/admin%00/x",
    "/x/..;/admin",
    "/x/..;a=b/admin",
    "/admin#x",
    "/admin#/../x",
    "//admin",
    "///admin//x",
    "/%61dmin",
    "/%61%64%6D%69%6e/x",
    "//%61dmin/../admin",
    "/admin/",
    "/admin//",
    "/admin?x=/../y",
    "/admin/../x",
    "/admin/%2e%2e/x",
    "/admin/..%2fx",
    "/admin/..",
    "/admin/..;/x",
    "/../admin",
    "/../../etc/passwd",
    "//evil/admin",
    "//evil@host/admin",
    "/\\evil/admin",
    "/.admin",
    "/admin..",
    "/adm%69n2",
    "/admin%3Fx",
    "http://gateway.test/admin",
    "http://gateway.test//admin",
    "http://gateway.test/x/../admin",
    "http://gateway.test/x/%2e%2e/admin",
    "HTTP://evil/admin",
    "/public/../admin",
    "/public/%2e%2e/admin",
    "/public/..%2f..%2fadmin"
  ]
  for (const target of hidden) {
    it.effect(`reaches no upstream under another route's policy: ${target}`, () =>
      Effect.gen(function* () {
        const { answer, guarded, moved, open } = yield* asked(target)
        for (const path of open) assert.isFalse(isBelow(generous(path), "/admin"), `open got ${path}`)
        for (const path of guarded) assert.isTrue(isBelow(generous(path), "/admin"), `guarded got ${path}`)
        for (const path of moved) assert.isTrue(isBelow(generous(path), "/v1/public"), `moved got ${path}`)
        const reached = [...open, ...guarded, ...moved].length
        assert.strictEqual(reached === 1, answer.status === 200)
        if (reached === 0) assert.strictEqual(refusedAs(answer), "400 ambiguous-path")
      })
    )
  }

  for (const [target, path] of [
    ["//public/x", "/v1/public/x"],
    ["/%70ublic/x?y=%70", "/v1/public/x?y=%70"],
    ["///public", "/v1/public"],
    ["/public//x", "/v1/public//x"],
    ["/public?a", "/v1/public?a"]
  ] as const) {
    it.effect(`keeps to the prefix that its route puts in place of its own: ${target}`, () =>
      Effect.gen(function* () {
        const { moved } = yield* asked(target)
        assert.deepStrictEqual(moved, [path])
      })
    )
  }

  for (const target of [
    "/x/../admin/y",
    "/x/%2e%2e/admin/y",
    "/x\\..\\admin\\y",
    "/admin/y#z",
    "/x/%2e%2e%2fadmin",
    "/admin%00"
  ]) {
    it.effect(`that could mean another one is refused: ${target}`, () =>
      Effect.gen(function* () {
        const { answer, guarded, open } = yield* asked(target)
        assert.deepStrictEqual([open, guarded], [[], []])
        assert.strictEqual(refusedAs(answer), "400 ambiguous-path")
      })
    )
  }

  it.effect("that is refused says so under the request's id", () =>
    Effect.gen(function* () {
      const { answer } = yield* asked("/x/%2e%2e%2fadmin")
      assert.deepStrictEqual([answer.status, causeOf(answer)], [400, "ambiguous-path"])
      assert.strictEqual(answer.json().requestId, header(answer, "x-request-id"))
    })
  )

  it.effect("of 8192 bytes with its query is taken, and a longer one refused with 414", () =>
    Effect.gen(function* () {
      const { open } = yield* asked(`/${"x".repeat(4000)}?${"y".repeat(4190)}`)
      assert.strictEqual(open[0]?.length, 8192)
      const { answer, open: none } = yield* asked(`/${"x".repeat(4000)}?${"y".repeat(4191)}`)
      assert.deepStrictEqual([answer.status, causeOf(answer), none], [414, "uri-too-long", []])
    })
  )

  it.effect("and a head of more than 16 KiB is refused with 431", () =>
    Effect.gen(function* () {
      const { port } = yield* Setup
      const answer = yield* ask(port, "/x", { headers: { "X-Big": "x".repeat(20_000) } })
      assert.deepStrictEqual([answer.status, causeOf(answer)], [431, "head-too-large"])
    })
  )
})

/** What a request of these bytes comes to, and what the open upstream saw of it. */
const sent = Effect.fnUntraced(function* (bytes: string) {
  const { open, port } = yield* Setup
  const before = open.requests.length
  const client = yield* converse(port, bytes)
  const head = yield* Effect.promise(() => client.head)
  yield* Effect.promise(() => client.done).pipe(Effect.raceFirst(Effect.sleep("300 millis")))
  return {
    status: Number(head.line.split(" ")[1]),
    body: client.received().toString(),
    seen: open.requests.slice(before)
  }
}, Effect.scoped)

layer(Setup.layer, { excludeTestServices: true })("A request that can be read in more than one way", (it) => {
  const post = (...lines: ReadonlyArray<string>) => `POST /x HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`
  const inner = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"

  for (const [what, bytes] of [
    ["both lengths", `${post("Host: a", "Content-Length: 6", "Transfer-Encoding: chunked")}0\r\n\r\n${inner}`],
    [
      "both lengths the other way round",
      `${post("Host: a", "Transfer-Encoding: chunked", "Content-Length: 6")}0\r\n\r\n${inner}`
    ],
    ["two lengths that differ", `${post("Host: a", "Content-Length: 5", "Content-Length: 40")}hello${inner}`],
    ["a length with a sign", `${post("Host: a", "Content-Length: +5")}hello`],
    ["chunked that is not the last coding", `${post("Host: a", "Transfer-Encoding: chunked, gzip")}0\r\n\r\n`],
    ["an unknown coding", `${post("Host: a", "Transfer-Encoding: xchunked")}0\r\n\r\n`],
    ["a space before the colon", `${post("Host: a", "Transfer-Encoding : chunked")}0\r\n\r\n`]
  ] as const) {
    it.effect(`by ${what} is refused before it is forwarded`, () =>
      Effect.gen(function* () {
        const { seen, status } = yield* sent(bytes)
        assert.strictEqual(status, 400)
        assert.deepStrictEqual(seen, [])
      })
    )
  }

  for (const hosts of [["Host: a", "Host: b"], ["Host: a", "host: a"], ["Host: a, b"]]) {
    it.effect(`by its hosts is refused: ${hosts.join(", ")}`, () =>
      Effect.gen(function* () {
        const { body, seen, status } = yield* sent(`GET /x HTTP/1.1\r\n${hosts.join("\r\n")}\r\n\r\n`)
        assert.strictEqual(status, 400)
        assert.include(body, "urn:opsbuddy:problem:ambiguous-request")
        assert.deepStrictEqual(seen, [])
      })
    )
  }

  it.effect("by extensions of its chunks goes on with one framing and without them", () =>
    Effect.gen(function* () {
      const { seen, status } = yield* sent(
        `${post("Host: a", "Transfer-Encoding: chunked")}5;x=y\r\nhello\r\n5;z\r\nworld\r\n0\r\n\r\n`
      )
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(
        seen.map((request) => request.body().toString()),
        ["helloworld"]
      )
      for (const { head } of seen) {
        assert.strictEqual(values(head, "transfer-encoding").length + values(head, "content-length").length, 1)
      }
    })
  )

  for (const head of [
    "GET /foo/bar/admin HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET /foo HTTP/1.1\r\nHost: evil/admin\r\n\r\n",
    "GET /foo HTTP/1.1\r\nHost: evil/admin?\r\n\r\n",
    "GET /foo HTTP/1.1\r\nHost: [/admin\r\n\r\n",
    "GET /foo HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "GET /foo HTTP/1.0\r\n\r\n"
  ]) {
    it.effect(`has no path made of its host: ${JSON.stringify(head.trim())}`, () =>
      Effect.gen(function* () {
        const { guarded } = yield* Setup
        const before = guarded.requests.length
        const { seen } = yield* sent(head)
        for (const { target } of seen) assert.match(target, /^\/foo(\/bar\/admin)?$/)
        assert.strictEqual(guarded.requests.length, before)
      })
    )
  }
})
