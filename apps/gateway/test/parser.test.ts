import { readFileSync } from "node:fs"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { ask, converse } from "./client.ts"
import * as Gateway from "./gateway.ts"
import { value } from "./http1.ts"
import * as Upstream from "./upstream.ts"

class Setup extends Context.Service<Setup, { readonly port: number; readonly upstream: Upstream.Upstream }>()(
  "@opsbuddy/gateway/test/parser/Setup"
) {
  static readonly layer = Layer.effect(
    Setup,
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      return { upstream, port: yield* Gateway.make({ targets: [upstream.url] }) }
    })
  )
}

const request = (line: string, ...headers: ReadonlyArray<string>) =>
  [line, ...headers, "Connection: close", "", ""].join("\r\n")
const get = (...headers: ReadonlyArray<string>) => request("GET /shop HTTP/1.1", "Host: a", ...headers)
const post = (framing: ReadonlyArray<string>, body: string) =>
  request("POST /shop HTTP/1.1", "Host: a", ...framing) + body
const chunked = (body: string) => post(["Transfer-Encoding: chunked"], body)

/** What is sent, byte for byte, and the answer to it: 200 where the upstream got it, otherwise a status and its problem. */
const cases: ReadonlyArray<readonly [name: string, bytes: string, answer: string]> = [
  [
    "`Content-Length` beside `Transfer-Encoding`",
    post(["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n"),
    "400 malformed-request"
  ],
  [
    "two `Content-Length` that differ",
    post(["Content-Length: 5", "Content-Length: 6"], "hello"),
    "400 malformed-request"
  ],
  [
    "two `Content-Length` that are the same",
    post(["Content-Length: 5", "Content-Length: 5"], "hello"),
    "400 malformed-request"
  ],
  ["`Content-Length: +5`", post(["Content-Length: +5"], "hello"), "400 malformed-request"],
  ["`Content-Length: 0x5`", post(["Content-Length: 0x5"], "hello"), "400 malformed-request"],
  ["`Content-Length` over 15 digits", post(["Content-Length: 9999999999999999"], ""), "400 malformed-request"],
  ["an unknown transfer coding", post(["Transfer-Encoding: odd"], "hello"), "400 malformed-request"],
  [
    "`Transfer-Encoding: gzip, chunked`",
    post(["Transfer-Encoding: gzip, chunked"], "0\r\n\r\n"),
    "400 malformed-request"
  ],
  [
    "`Transfer-Encoding` in HTTP/1.0",
    request("POST /shop HTTP/1.0", "Transfer-Encoding: chunked") + "0\r\n\r\n",
    "400 malformed-request"
  ],
  ["a chunk size that is no number", chunked("xyz\r\nhello\r\n0\r\n\r\n"), "400 malformed-request"],
  ["a chunk size over 52 bits", chunked("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), "400 malformed-request"],
  ["a chunk longer than its size", chunked("3\r\nhello\r\n0\r\n\r\n"), "400 malformed-request"],
  ["a chunk's size that ends in LF alone", chunked("5\nhello\r\n0\r\n\r\n"), "400 malformed-request"],
  ["a chunk with an extension", chunked('5;a="b"\r\nhello\r\n0\r\n\r\n'), "200"],
  ["fields after the last chunk", chunked("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "200"],
  ["a header folded over two lines", get("X-Folded: a", " b"), "400 malformed-request"],
  ["a space before a header's colon", get("X-Odd : a"), "400 malformed-request"],
  ["a header without a colon", get("X-Odd"), "400 malformed-request"],
  ["a header without a name", get(": a"), "400 malformed-request"],
  ["NUL in a header", get("X-Odd: a\0b"), "400 malformed-request"],
  ["CR alone in a header", get("X-Odd: a\rb"), "400 malformed-request"],
  ["bytes over 127 in a header", get("X-Odd: \xe9"), "200"],
  ["NUL in the path", request("GET /shop\0b HTTP/1.1", "Host: a"), "400 malformed-request"],
  ["bytes over 127 in the path", request("GET /shop\xe9 HTTP/1.1", "Host: a"), "400 malformed-request"],
  ["a space in the path", request("GET /shop b HTTP/1.1", "Host: a"), "400 malformed-request"],
  ["no `Host` in HTTP/1.1", request("GET /shop HTTP/1.1"), "400 malformed-request"],
  ["two `Host`", get("Host: b"), "400 ambiguous-request"],
  ["a `Host` that is none", request("GET /shop HTTP/1.1", "Host: a/b"), "400 ambiguous-request"],
  ["an empty `Host`", request("GET /shop HTTP/1.1", "Host:"), "200"],
  ["HTTP/1.0 without `Host`", request("GET /shop HTTP/1.0"), "200"],
  ["HTTP/2.0 in the request line", request("GET /shop HTTP/2.0", "Host: a"), "505 version-not-supported"],
  ["no version in the request line", "GET /shop\r\n\r\n", "400 malformed-request"],
  ["an empty line before the request", `\r\n${get()}`, "200"],
  ["lines that end in LF alone", get().replaceAll("\r\n", "\n"), "400 malformed-request"],
  ["a head of more than 16 KiB", get(`X-Big: ${"x".repeat(20_000)}`), "431 head-too-large"],
  ["a URL of 10 000 bytes", request(`GET /shop${"x".repeat(10_000)} HTTP/1.1`, "Host: a"), "414 uri-too-long"],
  ["500 headers", get(...Array.from({ length: 500 }, () => "X-A: b")), "200"],
  ["a method that is not registered", request("BREW /shop HTTP/1.1", "Host: a"), "200"],
  ["a method that is no token", request("GE,T /shop HTTP/1.1", "Host: a"), "400 malformed-request"],
  ["`CONNECT`", request("CONNECT a:80 HTTP/1.1", "Host: a"), "404 no-route"],
  ["`OPTIONS *`", request("OPTIONS * HTTP/1.1", "Host: a"), "404 no-route"],
  ["`TRACE` of one of its own paths", request("TRACE /health HTTP/1.1", "Host: a"), "405 method-not-allowed"],
  ["a full URL instead of a path", request("GET http://other/shop HTTP/1.1", "Host: a"), "200"],
  ["a path without its slash", request("GET shop HTTP/1.1", "Host: a"), "400 malformed-request"],
  ["an odd percent-encoding", request("GET /shop/%zz HTTP/1.1", "Host: a"), "200"],
  ["`Expect` of something else than `100-continue`", post(["Content-Length: 5", "Expect: odd"], "hello"), "200"],
  ["HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 version-not-supported"],
  ["TLS on the plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400 malformed-request"]
]

const table = () =>
  [
    "| what is sent | the answer |",
    "| --- | --- |",
    ...cases.map(([name, , answer]) => `| ${name} | ${answer} |`)
  ].join("\n")

layer(Setup.layer, { excludeTestServices: true })("What is sent to the gateway", (it) => {
  for (const [name, bytes, expected] of cases) {
    it.effect(`is answered as told, and reaches the upstream only then: ${name}`, () =>
      Effect.gen(function* () {
        const { port, upstream } = yield* Setup
        const before = upstream.requests.length
        const client = yield* converse(port, Buffer.from(bytes, "latin1"))
        const head = yield* Effect.promise(() => client.head)
        yield* Effect.promise(() => client.done)
        const [status = ""] = /\d{3}/.exec(head.line.slice(9)) ?? []
        const reached = upstream.requests.length - before
        if (status === "200") assert.deepStrictEqual([status, reached], [expected, 1])
        else {
          const problem = JSON.parse(client.received().toString())
          assert.strictEqual(`${status} ${problem.type.replace("urn:opsbuddy:problem:", "")}`, expected)
          assert.strictEqual(value(head, "content-type"), "application/problem+json")
          assert.strictEqual(value(head, "x-request-id"), problem.requestId)
          assert.isString(problem.detail)
          // The head of a request whose body turns out to be none may have gone on; its end may not.
          if (reached === 1)
            assert.isFalse(yield* Effect.raceFirst(arrivesWhole(upstream), Effect.as(Effect.sleep("50 millis"), false)))
        }
        assert.isTrue(client.complete())
      })
    )
  }

  it.effect("stands in docs/http.md", () =>
    Effect.sync(() => assert.include(readFileSync(new URL("../../../docs/http.md", import.meta.url), "utf8"), table()))
  )

  it.effect("leaves it as it was", () =>
    Effect.gen(function* () {
      const { port } = yield* Setup
      assert.strictEqual((yield* ask(port, "/shop")).status, 200)
      const metrics = yield* ask(port, "/metrics")
      assert.include(metrics.body.toString(), 'opsbuddy_gateway_refusals_total{route="none",cause="malformed-request"}')
    })
  )
})

const arrivesWhole = (upstream: Upstream.Upstream) =>
  Effect.as(
    Effect.promise(() => upstream.requests.at(-1)?.whole ?? Promise.resolve()),
    true
  )
