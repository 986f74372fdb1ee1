import { readFileSync } from "node:fs"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Raw from "./app/Raw.ts"
import { Served } from "./app/Served.ts"

const bun = process.versions.bun !== undefined

const request = (line: string, ...headers: ReadonlyArray<string>) =>
  [line, ...headers, "Connection: close", "", ""].join("\r\n")
const get = (...headers: ReadonlyArray<string>) => request("GET /health HTTP/1.1", "Host: a", ...headers)
const post = (framing: ReadonlyArray<string>, body: string) =>
  request("POST /api/things/text HTTP/1.1", "Host: a", "Content-Type: text/plain", ...framing) + body
const chunked = (body: string) => post(["Transfer-Encoding: chunked"], body)

/** A status, with `problem` where the body is one; `closed` where the connection ends without an answer. */
type Outcome = `${number}` | `${number} problem` | "closed"

interface Case {
  /** The first column of the table in docs/http.md. */
  readonly name: string
  readonly bytes: string
  readonly bun: Outcome
  readonly node: Outcome
}

const both = (outcome: Outcome) => ({ bun: outcome, node: outcome })

const cases: ReadonlyArray<Case> = [
  {
    name: "`Content-Length` beside `Transfer-Encoding`",
    bytes: post(["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n"),
    ...both("400")
  },
  {
    name: "two `Content-Length` that differ",
    bytes: post(["Content-Length: 5", "Content-Length: 6"], "hello"),
    ...both("400")
  },
  {
    name: "two `Content-Length` that are the same",
    bytes: post(["Content-Length: 5", "Content-Length: 5"], "hello"),
    bun: "200",
    node: "400"
  },
  { name: "`Content-Length: +5`", bytes: post(["Content-Length: +5"], "hello"), ...both("400") },
  { name: "an unknown transfer coding", bytes: post(["Transfer-Encoding: odd"], "hello"), ...both("400") },
  { name: "a chunk size that is no number", bytes: chunked("xyz\r\nhello\r\n0\r\n\r\n"), ...both("400") },
  {
    name: "a chunk size over 64 bits",
    bytes: chunked("ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    ...both("400")
  },
  { name: "a chunk longer than its size", bytes: chunked("3\r\nhello\r\n0\r\n\r\n"), ...both("400") },
  { name: "a header folded over two lines", bytes: get("X-Folded: a", " b"), ...both("400") },
  { name: "a space before a header's colon", bytes: get("X-Odd : a"), ...both("400") },
  { name: "NUL in a header", bytes: get("X-Odd: a\0b"), ...both("400") },
  { name: "NUL in the path", bytes: request("GET /a\0b HTTP/1.1", "Host: a"), bun: "505", node: "400" },
  {
    name: "bytes over 127 in the path",
    bytes: request("GET /\xe9 HTTP/1.1", "Host: a"),
    bun: "404 problem",
    node: "400"
  },
  { name: "no `Host` in HTTP/1.1", bytes: request("GET /health HTTP/1.1"), ...both("400") },
  { name: "two `Host`", bytes: get("Host: b"), ...both("200") },
  { name: "HTTP/1.0 without `Host`", bytes: request("GET /health HTTP/1.0"), ...both("200") },
  {
    name: "HTTP/1.0 without `Host`, an unknown path",
    bytes: request("GET /nope HTTP/1.0"),
    ...both("404 problem")
  },
  { name: "HTTP/2.0 in the request line", bytes: request("GET /health HTTP/2.0", "Host: a"), bun: "505", node: "200" },
  { name: "no version in the request line", bytes: "GET /health\r\n\r\n", bun: "505", node: "200" },
  { name: "lines that end in LF alone", bytes: get().replaceAll("\r\n", "\n"), bun: "505", node: "400" },
  { name: "headers of more than 16 KiB", bytes: get(`X-Big: ${"x".repeat(20_000)}`), ...both("431") },
  {
    name: "a URL of 10 000 bytes",
    bytes: request(`GET /${"x".repeat(10_000)} HTTP/1.1`, "Host: a"),
    ...both("404 problem")
  },
  {
    name: "a URL of more than 16 KiB",
    bytes: request(`GET /${"x".repeat(20_000)} HTTP/1.1`, "Host: a"),
    ...both("431")
  },
  { name: "500 headers", bytes: get(...Array.from({ length: 500 }, () => "X-A: b")), bun: "431", node: "200" },
  {
    name: "a method that is not registered",
    bytes: request("BREW /health HTTP/1.1", "Host: a"),
    bun: "closed",
    node: "400"
  },
  {
    name: "a registered method that nothing serves",
    bytes: request("PROPFIND /health HTTP/1.1", "Host: a"),
    ...both("405 problem")
  },
  { name: "`CONNECT`", bytes: request("CONNECT a:80 HTTP/1.1", "Host: a"), bun: "404 problem", node: "closed" },
  { name: "`OPTIONS *`", bytes: request("OPTIONS * HTTP/1.1", "Host: a"), bun: "400", node: "404 problem" },
  {
    name: "a full URL instead of a path",
    bytes: request("GET http://other/health HTTP/1.1", "Host: a"),
    ...both("200")
  },
  { name: "a path without its slash", bytes: request("GET health HTTP/1.1", "Host: a"), ...both("400") },
  { name: "an odd percent-encoding", bytes: request("GET /api/%zz HTTP/1.1", "Host: a"), ...both("404 problem") },
  {
    name: "`Expect` of something else than `100-continue`",
    bytes: post(["Content-Length: 5", "Expect: odd"], "hello"),
    bun: "200",
    node: "417"
  },
  { name: "TLS on the plain port", bytes: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", ...both("400") }
]

const outcome = (answer: Raw.RawAnswer): Outcome | undefined => {
  if (answer.status === undefined) return answer.ended === "closed" ? "closed" : undefined
  return answer.headers["content-type"] === "application/problem+json" ? `${answer.status} problem` : `${answer.status}`
}

const table = () =>
  [
    "| what is sent | Bun | Node |",
    "| --- | --- | --- |",
    ...cases.map(({ bun, name, node }) => `| ${name} | ${bun} | ${node} |`)
  ].join("\n")

layer(Served.layer())("what the runtime's own parser decides", (it) => {
  for (const { bun: onBun, bytes, name, node } of cases) {
    it.effect(`is as told for ${name}`, () =>
      Effect.gen(function* () {
        const { port } = yield* Served
        assert.strictEqual(outcome(yield* Raw.send(port, bytes)), bun ? onBun : node)
      })
    )
  }

  it.effect("stands in docs/http.md", () =>
    Effect.sync(() => assert.include(readFileSync(new URL("../../../docs/http.md", import.meta.url), "utf8"), table()))
  )

  it.effect("leaves the server and its log as they were", () =>
    Effect.gen(function* () {
      const { lines, port } = yield* Served
      assert.strictEqual((yield* Raw.send(port, get())).status, 200)
      assert.deepStrictEqual(lines.texts, [])
    })
  )
})
