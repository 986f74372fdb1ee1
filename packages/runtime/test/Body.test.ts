import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ask, members, post } from "./app/Ask.ts"
import * as Raw from "./app/Raw.ts"
import { Served } from "./app/Served.ts"

const MiB = 1024 * 1024
const piece = new Uint8Array(MiB).fill(97)
const chunk = [`${MiB.toString(16)}\r\n`, piece, "\r\n"]

const head = (path: string, type: string, framing: string) =>
  `POST /api/things/${path} HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\n${framing}\r\n\r\n`

function* withLength(path: string, type: string, mebibytes: number, [open, close] = ["", ""]) {
  yield head(path, type, `Content-Length: ${open.length + mebibytes * MiB + close.length}`) + open
  for (let i = 0; i < mebibytes; i++) yield piece
  yield close
}

function* inChunks(path: string, type: string, mebibytes: number) {
  yield head(path, type, "Transfer-Encoding: chunked")
  for (let i = 0; i < mebibytes; i++) yield* chunk
  yield "0\r\n\r\n"
}

const framings = [withLength, inChunks]
const bytes = "application/octet-stream"

const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)

layer(Served.layer())("a request body", (it) => {
  it.effect("that is taken as a whole may have 32 MiB", () =>
    Effect.gen(function* () {
      const { port } = yield* Served
      for (const framing of framings) {
        const answer = yield* Raw.send(port, framing("text", "text/plain", 32))
        assert.deepStrictEqual([answer.status, answer.body], [200, `{"bytes":${32 * MiB}}`])
      }
    })
  )

  it.effect("that is taken as a whole and is larger is refused, and its sender gets to read that", () =>
    Effect.gen(function* () {
      const { port } = yield* Served
      for (const framing of framings) {
        for (const mebibytes of [33, 200]) {
          const answer = yield* Raw.send(port, framing("text", "text/plain", mebibytes))
          assert.strictEqual(answer.status, 413)
          assert.strictEqual(answer.headers["content-type"], "application/problem+json")
          assert.deepInclude(members({ text: answer.body }), {
            type: "urn:opsbuddy:problem:body-too-large",
            limit: 32 * MiB,
            detail: `the body has more than ${32 * MiB} bytes`
          })
        }
      }
    })
  )

  it.effect("that is read as a stream or in parts may be larger", () =>
    Effect.gen(function* () {
      const { port } = yield* Served
      const part = 'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: a/b'
      const answers = [
        yield* Raw.send(port, withLength("raw", bytes, 40)),
        yield* Raw.send(port, inChunks("raw", bytes, 40)),
        yield* Raw.send(
          port,
          withLength("upload", "Multipart/Form-Data; boundary=b", 40, [`--b\r\n${part}\r\n\r\n`, "\r\n--b--\r\n"])
        )
      ]
      for (const answer of answers) {
        assert.deepStrictEqual([answer.status, answer.body], [200, `{"bytes":${40 * MiB}}`])
      }
    })
  )

  it.effect("has the limit of the endpoint that reads it as a stream", () =>
    Effect.gen(function* () {
      const { port } = yield* Served
      assert.strictEqual((yield* post("/api/things/bounded", "x".repeat(1000), bytes)).text, '{"bytes":1000}')
      const answers = [
        yield* Raw.send(port, `${head("bounded", bytes, "Content-Length: 1001")}${"x".repeat(1001)}`),
        yield* Raw.send(
          port,
          `${head("bounded", bytes, "Transfer-Encoding: chunked")}3e9\r\n${"x".repeat(1001)}\r\n0\r\n\r\n`
        )
      ]
      for (const answer of answers) {
        assert.strictEqual(answer.status, 413)
        assert.deepInclude(members({ text: answer.body }), {
          type: "urn:opsbuddy:problem:body-too-large",
          limit: 1000
        })
      }
    })
  )

  it.effect("of JSON may be nested 200 deep, and is refused at once when it is nested a million deep", () =>
    Effect.gen(function* () {
      // The endpoint's own limit, below the runtime's.
      const own = yield* post("/api/things/json", nested(65))
      assert.include(own.text, "nested deeper than 64 levels")
      assert.strictEqual((yield* post("/api/things/json", nested(64))).status, 200)
      // Brackets in strings, and escaped quotes in these, do not count.
      const text = JSON.stringify({ a: `${"[{".repeat(500)}"\\` })
      assert.strictEqual((yield* post("/api/things/json", text)).status, 200)
      assert.strictEqual((yield* post("/api/things/json", `[${"[],".repeat(1000)}1]`)).status, 200)
      assert.include((yield* post("/api/things", nested(200))).text, "Expected object")
      for (const deep of [nested(201), nested(1_000_000), '{"a":'.repeat(1_000_000), "[".repeat(1_000_000)]) {
        for (const path of ["/api/things", "/api/things/json"]) {
          const started = performance.now()
          const answer = yield* post(path, deep)
          assert.isBelow(performance.now() - started, 1000)
          assert.strictEqual(answer.status, 400)
          assert.deepInclude(members(answer), {
            type: "urn:opsbuddy:problem:invalid-request",
            errors: [{ path: ["payload"], message: "Expected JSON that is nested at most 200 deep" }]
          })
        }
      }
    })
  )

  it.effect("that does not arrive whole harms nobody else", () =>
    Effect.gen(function* () {
      const { lines, port } = yield* Served
      const before = lines.texts.length
      for (const path of ["json", "raw"]) {
        const type = path === "json" ? "application/json" : bytes
        const answer = yield* Raw.send(port, `${head(path, type, "Content-Length: 10")}abc`, 50)
        assert.strictEqual(answer.status, undefined)
      }
      assert.strictEqual((yield* ask("GET", "/health")).status, 200)
      assert.deepStrictEqual(lines.texts.slice(before), [])
    })
  )
})
