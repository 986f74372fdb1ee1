import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Ref, Result } from "effect"
import * as Utf8 from "../src/Utf8.ts"
import { ask, members, post, problem } from "./app/Ask.ts"
import { Served } from "./app/Served.ts"

const errorsOf = (method: string, path: string, init: RequestInit = {}) =>
  Effect.map(ask(method, path, init), (answer) => {
    assert.strictEqual(answer.status, 400, answer.text)
    return problem(answer, "invalid-request", path.split("?")[0] ?? "").errors
  })

const bytes = (type: string, body: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): RequestInit => ({
  body,
  headers: { "content-type": type, ...headers }
})

const text = (body: string) => new TextEncoder().encode(body)

layer(Served.layer())("a request that is no UTF-8", (it) => {
  it.effect("is refused where its body is not, with the offset", () =>
    Effect.gen(function* () {
      for (const [path, type] of [
        ["/api/things/text", "text/plain"],
        ["/api/things/json", "application/json"]
      ] as const) {
        for (const wrong of [0xff, 0xfe, 0xc0, 0x41]) {
          const body = text('"äöü€"')
          body[8] = wrong
          assert.deepStrictEqual(yield* errorsOf("POST", path, bytes(type, body)), [
            { path: ["payload"], message: "Expected UTF-8, got something else at byte 7" }
          ])
        }
      }
    })
  )

  it.effect("may have a byte order mark in front, and U+FFFD that was sent", () =>
    Effect.gen(function* () {
      const json = yield* ask("POST", "/api/things/json", bytes("application/json", text("\ufeff[1]")))
      assert.deepStrictEqual(members(json), { bytes: 3 })
      const plain = yield* ask("POST", "/api/things/text", bytes("text/plain", text("\ufeffa\ufffdb\ufeff")))
      assert.deepStrictEqual(members(plain), { bytes: 4 })
    })
  )

  it.effect("is refused where a path parameter is not, and where the path is not encoded at all", () =>
    Effect.gen(function* () {
      for (const wrong of ["%FF", "a%C3", "%C3%28", "%ED%A0%80", "%zz", "%"]) {
        const message = `Expected UTF-8 in percent-encoding, got ${wrong}`
        assert.deepStrictEqual(yield* errorsOf("GET", `/api/things/named/${wrong}`), [
          { path: ["params", "name"], message }
        ])
        assert.strictEqual((yield* ask("GET", `/api/nothing/${wrong}`)).status, 404)
        assert.strictEqual((yield* ask("GET", `/api/things/${wrong}/name`)).status, 404)
      }
      assert.deepStrictEqual(members(yield* ask("GET", "/api/things/named/%C3%A4%2F%F0%9F%98%80")), { bytes: 4 })
    })
  )

  it.effect("is refused where a query parameter is not, all of them at once", () =>
    Effect.gen(function* () {
      const path = "/api/things?limit=%FF&%C3=1&limit=1&a=b%80c"
      assert.deepStrictEqual(yield* errorsOf("GET", path), [
        { path: ["query", "limit"], message: "Expected UTF-8 in percent-encoding, got %FF" },
        { path: ["query"], message: "Expected UTF-8 in percent-encoding, got %C3" },
        { path: ["query", "a"], message: "Expected UTF-8 in percent-encoding, got b%80c" }
      ])
    })
  )
})

layer(Served.layer())("query parameters that an endpoint does not know", (it) => {
  it.effect("are refused with those that it does", () =>
    Effect.gen(function* () {
      const message = "unknown parameter `from`; known parameters: limit"
      assert.deepStrictEqual(yield* errorsOf("GET", "/api/things?from=1"), [{ path: ["query", "from"], message }])
    })
  )

  it.effect("are refused by an endpoint that takes none, whatever its method", () =>
    Effect.gen(function* () {
      for (const [method, path, body] of [
        ["GET", "/status"],
        ["HEAD", "/status"],
        ["GET", "/api/things/named/a"],
        ["PUT", "/api/things/named/fixed"],
        ["POST", "/api/things/json", "1"]
      ] as const) {
        const init = body === undefined ? {} : { body, headers: { "content-type": "application/json" } }
        const answer = yield* ask(method, `${path}?from=1&&to+x=2&y`, init)
        assert.strictEqual(answer.status, 400, `${method} ${path}`)
        if (method === "HEAD") continue
        assert.deepStrictEqual(
          problem(answer, "invalid-request", path).errors,
          ["from", "to x", "y"].map((name) => ({
            path: ["query", name],
            message: `unknown parameter \`${name}\`; this endpoint takes no parameters`
          }))
        )
        assert.strictEqual((yield* ask(method, `${path}?`, init)).status, 200)
      }
    })
  )

  it.effect("do not make a healthy program look like a failing one, nor hide its documentation", () =>
    Effect.gen(function* () {
      yield* Ref.set((yield* Served).readiness, true)
      for (const path of ["/health", "/ready", "/metrics", "/docs", "/openapi.json"]) {
        assert.strictEqual((yield* ask("GET", `${path}?_=1767225600&%FF`)).status, 200, path)
      }
    })
  )
})

layer(Served.layer())("a request", (it) => {
  it.effect("may have a path parameter of any length, of which its endpoint decides", () =>
    Effect.gen(function* () {
      for (const length of [100, 101, 128, 5000]) {
        const answer = yield* ask("GET", `/api/things/named/${"x".repeat(length)}`)
        assert.deepStrictEqual([answer.status, members(answer)], [200, { bytes: length }])
      }
      const method = yield* ask("DELETE", `/api/things/named/${"x".repeat(5000)}`)
      assert.deepStrictEqual([method.status, method.headers.get("allow")], [405, "GET, HEAD"])
    })
  )

  it.effect("is told which content encodings its endpoint reads when its body has another", () =>
    Effect.gen(function* () {
      for (const [path, encoding, reads] of [
        ["/api/things/json", "gzip", ["identity"]],
        ["/api/things/json", "GZip", ["identity"]],
        ["/api/things/raw", "br, identity", ["identity"]],
        ["/api/things/gzip", "zstd", ["gzip", "identity"]],
        ["/api/things/gzip", "gzip, br", ["gzip", "identity"]]
      ] as const) {
        const type = path.endsWith("json")
          ? "application/json"
          : path.endsWith("raw")
            ? "application/octet-stream"
            : "text/plain"
        const answer = yield* ask("POST", path, bytes(type, text("1"), { "content-encoding": encoding }))
        assert.strictEqual(answer.status, 415, encoding)
        assert.deepStrictEqual(problem(answer, "unsupported-content-encoding", path).acceptEncoding, reads)
        assert.strictEqual(answer.headers.get("accept-encoding"), reads.join(", "))
      }
    })
  )

  it.effect("may name the encoding that its body has, and any where there is no body to read", () =>
    Effect.gen(function* () {
      for (const [path, encoding] of [
        ["/api/things/text", "identity"],
        ["/api/things/text", "Identity, "],
        ["/api/things/gzip", "gzip"],
        ["/api/things/gzip", "x-gzip"]
      ] as const) {
        const answer = yield* ask("POST", path, bytes("text/plain", text("1"), { "content-encoding": encoding }))
        assert.strictEqual(answer.status, 200, `${path} ${encoding}`)
      }
      const headers = { "content-encoding": "gzip" }
      assert.strictEqual((yield* ask("GET", "/api/things", { headers })).status, 200)
      assert.strictEqual((yield* ask("PUT", "/api/things/named/fixed", { headers })).status, 200)
    })
  )

  it.effect("without a parameter that is wrong goes on as before", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(members(yield* post("/api/things/text", "a", "text/plain")), { bytes: 1 })
    })
  )
})

describe("Utf8", () => {
  const offsetOf = (body: Uint8Array) => {
    const decoded = Utf8.decode(body)
    return Result.isFailure(decoded) ? decoded.failure : undefined
  }

  it("finds the first character that is wrong, also where it lies across the pieces that are looked at", () => {
    const chunk = 64 * 1024
    for (const start of [0, 1, 5, chunk - 4, chunk - 3, chunk - 2, chunk - 1, chunk, chunk + 1, 3 * chunk - 2]) {
      for (const [wrong, at] of [
        [[0xff], 0],
        [[0xe2, 0x82, 0x41], 0],
        [[0xe2, 0x82], 0],
        [[0xf0, 0x9f, 0x98, 0x41], 0],
        [[0xc3, 0xa4, 0x80], 2],
        [[0xe2, 0x82, 0xac, 0xc0], 3]
      ] as const) {
        const body = new Uint8Array(start + wrong.length).fill(97)
        body.set(wrong, start)
        assert.strictEqual(offsetOf(body), start + at, `${start} ${wrong}`)
        const more = new Uint8Array(body.length + 2 * chunk).fill(97)
        more.set(body)
        assert.strictEqual(offsetOf(more), start + at, `${start} ${wrong}, and more`)
      }
      const whole = text(`${"a".repeat(start)}€😀ä`)
      assert.isUndefined(offsetOf(whole))
    }
  })
})
