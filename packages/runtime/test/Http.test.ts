import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ask, post, problem } from "./app/Ask.ts"
import * as Raw from "./app/Raw.ts"
import { Served } from "./app/Served.ts"

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const thing = { name: "a", count: 1, parts: [{ weight: 1.5 }] }

layer(Served.layer())((it) => {
  describe("where nothing is served", () => {
    it.effect("answers an unknown path with no-route, whatever the method", () =>
      Effect.gen(function* () {
        for (const method of ["GET", "POST", "DELETE", "OPTIONS"]) {
          for (const path of ["/nope", "/", "/api/things/nope/deeper", "/healthy", "/docs/x"]) {
            const answer = yield* ask(method, `${path}?secret=1`)
            assert.strictEqual(answer.status, 404)
            const { detail } = problem(answer, "no-route", path)
            assert.strictEqual(detail, `nothing is served at ${path}`)
          }
        }
      })
    )

    it.effect("answers a wrong method with what the path does serve", () =>
      Effect.gen(function* () {
        const cases = [
          ["DELETE", "/api/things", ["GET", "HEAD", "POST"]],
          ["GET", "/api/things/text", ["POST"]],
          ["HEAD", "/api/things/text", ["POST"]],
          ["PUT", "/health", ["GET", "HEAD"]],
          ["POST", "/docs", ["GET", "HEAD"]],
          ["PATCH", "/openapi.json", ["GET", "HEAD"]],
          ["OPTIONS", "/metrics", ["GET", "HEAD"]],
          ["GET", "/api/things/named/fixed", ["PUT"]],
          ["GET", "/api/things/named/fixed?x=1", ["PUT"]],
          ["POST", "/api/things/named/other", ["GET", "HEAD"]]
        ] as const
        for (const [method, path, allow] of cases) {
          const answer = yield* ask(method, path)
          assert.strictEqual(answer.status, 405, `${method} ${path}`)
          assert.strictEqual(answer.headers.get("allow"), allow.join(", "))
          if (method === "HEAD") continue
          const [instance = ""] = path.split("?")
          assert.deepStrictEqual(problem(answer, "method-not-allowed", instance).allow, allow)
        }
      })
    )

    it.effect("answers HEAD where it answers GET, with the same length and no body", () =>
      Effect.gen(function* () {
        for (const path of ["/api/things", "/openapi.json", "/docs"]) {
          const [get, head] = [yield* ask("GET", path), yield* ask("HEAD", path)]
          assert.deepStrictEqual([get.status, head.status, head.text], [200, 200, ""])
          assert.strictEqual(Number(head.headers.get("content-length")), Buffer.byteLength(get.text))
        }
      })
    )
  })

  describe("a request that does not decode", () => {
    const errorsOf = (path: string, body: string) =>
      Effect.map(post(path, body), (answer) => {
        assert.strictEqual(answer.status, 400, answer.text)
        const { detail, errors } = problem(answer, "invalid-request", path)
        return { detail, errors }
      })

    it.effect("is told where its body is no JSON", () =>
      Effect.gen(function* () {
        for (const body of ["{", "nul", "{}{}", "'a'", "\u0000"]) {
          const { detail, errors } = yield* errorsOf("/api/things", body)
          assert.deepStrictEqual(errors, [{ path: ["payload"], message: "Expected a valid JSON body" }])
          assert.strictEqual(detail, "payload: Expected a valid JSON body")
        }
        assert.deepStrictEqual((yield* errorsOf("/api/things", "")).errors, [
          { path: ["payload"], message: "Expected object" }
        ])
      })
    )

    it.effect("is told the path to everything that is wrong at once, and why", () =>
      Effect.gen(function* () {
        const wrong = { name: "", count: "1", parts: [{ weight: 1 }, { weight: null }], extra: true }
        const { detail, errors } = yield* errorsOf("/api/things", JSON.stringify(wrong))
        assert.deepStrictEqual(errors, [
          { path: ["payload", "extra"], message: "Expected no excess property" },
          { path: ["payload", "name"], message: "Expected a value with a length of at least 1" },
          { path: ["payload", "count"], message: "Expected number" },
          { path: ["payload", "parts", 1, "weight"], message: "Expected number" }
        ])
        assert.strictEqual(detail, "payload.extra: Expected no excess property")
        const { count: _, ...missing } = thing
        assert.deepStrictEqual((yield* errorsOf("/api/things", JSON.stringify(missing))).errors, [
          { path: ["payload", "count"], message: "Missing key" }
        ])
        const answer = yield* ask("GET", "/api/things?limit=x&Limit=1")
        assert.deepStrictEqual(problem(answer, "invalid-request", "/api/things").errors, [
          { path: ["query", "Limit"], message: "unknown parameter `Limit`; known parameters: limit" },
          { path: ["query", "limit"], message: "Expected a string representing a finite number" }
        ])
      })
    )

    it.effect("is told the first 100 of very many faults", () =>
      Effect.gen(function* () {
        const parts = Array.from({ length: 5000 }, () => ({ weight: "x" }))
        const { errors } = yield* errorsOf("/api/things", JSON.stringify({ ...thing, parts }))
        assert.lengthOf(errors as ReadonlyArray<unknown>, 100)
      })
    )

    it.effect("is told which content types are taken when it has another, or none", () =>
      Effect.gen(function* () {
        const cases = [
          ["/api/things", "text/plain", "application/json"],
          ["/api/things", "application/jsonp", "application/json"],
          ["/api/things/text", "application/json; charset=utf-8", "text/plain"],
          ["/api/things/upload", "application/json", "multipart/form-data"],
          ["/api/things/raw", "a b", "application/octet-stream"]
        ] as const
        for (const [path, sent, accepted] of cases) {
          const answer = yield* post(path, "{}", sent)
          assert.strictEqual(answer.status, 415)
          const { accepts, detail } = problem(answer, "unsupported-media-type", path)
          assert.deepStrictEqual(accepts, [accepted])
          assert.strictEqual(detail, `${sent} was sent; the endpoint takes ${accepted}`)
        }
        const { port } = yield* Served
        const head = "POST /api/things/text HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"
        const none = yield* Raw.send(port, `${head}x`)
        assert.strictEqual(none.status, 415)
        assert.include(none.body, "no content type was sent; the endpoint takes text/plain")
      })
    )

    it.effect("is taken with parameters of the content type and in any case of it", () =>
      Effect.gen(function* () {
        for (const type of ["application/json; charset=utf-8", "Application/JSON"]) {
          const answer = yield* post("/api/things", JSON.stringify(thing), type)
          assert.deepStrictEqual([answer.status, answer.text], [200, JSON.stringify(thing)])
        }
      })
    )
  })

  describe("a defect", () => {
    it.effect("is a 500 that tells its request id alone, under which the cause is in the log", () =>
      Effect.gen(function* () {
        const { lines } = yield* Served
        const answer = yield* ask("GET", "/api/things/defect")
        assert.strictEqual(answer.status, 500)
        const body = problem(answer, "internal-error", "/api/things/defect")
        assert.hasAllKeys(body, ["type", "title", "status", "detail", "instance", "requestId"])
        assert.strictEqual(body.detail, body.title)
        const logged = lines.objects.filter(({ requestId }) => requestId === body.requestId)
        assert.lengthOf(logged, 1)
        assert.deepInclude(logged[0], { level: "error", message: "request failed", service: "utility" })
        assert.match(JSON.stringify(logged[0]?.data), /the password is hunter2.*App\.ts/)
      })
    )

    it.effect("of an answer that does not encode is one as well", () =>
      Effect.gen(function* () {
        const { lines } = yield* Served
        const answer = yield* ask("GET", "/api/things/unencodable")
        assert.strictEqual(answer.status, 500)
        const body = problem(answer, "internal-error", "/api/things/unencodable")
        assert.hasAllKeys(body, ["type", "title", "status", "detail", "instance", "requestId"])
        assert.strictEqual(body.detail, body.title)
        const logged = lines.objects.filter(({ requestId }) => requestId === body.requestId)
        assert.deepEqual(
          logged.map(({ message }) => message),
          ["answer does not encode"]
        )
      })
    )
  })

  describe("the request id", () => {
    const paths = ["/health", "/nope", "/api/things/defect", "/api/things/busy", "/docs", "/api/things?limit=x"]

    it.effect("is the caller's where that is valid, on every answer", () =>
      Effect.gen(function* () {
        for (const id of ["a", "x".repeat(128), "Az09._~:/+=-", "00000000-0000-0000-0000-000000000000"]) {
          for (const path of paths) {
            const answer = yield* ask("GET", path, { headers: { "x-request-id": id } })
            assert.strictEqual(answer.headers.get("x-request-id"), id)
            if (answer.status >= 400) assert.include(answer.text, `"requestId":"${id}"`)
          }
        }
      })
    )

    it.effect("is a new UUIDv7 where it is not valid, or not one", () =>
      Effect.gen(function* () {
        const { port } = yield* Served
        const headers = [
          "",
          "X-Request-Id: \r\n",
          `X-Request-Id: ${"x".repeat(129)}\r\n`,
          "X-Request-Id: a b\r\n",
          "X-Request-Id: a,b\r\n",
          "X-Request-Id: \xe9\r\n",
          'X-Request-Id: "a"\r\n',
          "X-Request-Id: a\r\nX-Request-Id: b\r\n"
        ]
        const seen = new Set<string | undefined>()
        for (const header of headers) {
          for (const path of ["/health", "/nope"]) {
            const answer = yield* Raw.send(
              port,
              `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}\r\n`
            )
            const id = answer.headers["x-request-id"]
            assert.match(id ?? "", uuidV7, header)
            if (path === "/nope") assert.include(answer.body, `"requestId":"${id}"`)
            seen.add(id)
          }
        }
        assert.strictEqual(seen.size, headers.length * 2)
      })
    )
  })

  it.effect("gives a problem that has no detail its title and its own members as one", () =>
    Effect.gen(function* () {
      const answer = yield* ask("GET", "/api/things/busy")
      assert.strictEqual(problem(answer, "busy", "/api/things/busy").detail, "Busy (retryAfter 7)")
    })
  )

  it.effect("repeats a problem's retryAfter as Retry-After", () =>
    Effect.gen(function* () {
      const answer = yield* ask("GET", "/api/things/busy")
      assert.deepStrictEqual([answer.status, answer.headers.get("retry-after")], [503, "7"])
      assert.strictEqual(problem(answer, "busy", "/api/things/busy").retryAfter, 7)
    })
  )

  it.effect("shows its API in a page that needs nothing from outside", () =>
    Effect.gen(function* () {
      const page = yield* ask("GET", "/docs")
      assert.include(page.headers.get("content-type"), "text/html")
      const loads = [...page.text.matchAll(/<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=\s*["']?([^"'\s>]+)/g)]
      for (const [, address] of loads) assert.match(address ?? "", /^(data:|#)/)
      assert.notMatch(page.text, /@import|url\(\s*["']?https?:/)
      const document = yield* ask("GET", "/openapi.json")
      assert.include(document.headers.get("content-type"), "application/json")
      assert.include(document.text, '"/api/things/upload"')
    })
  )
})
