import { assert, layer } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { Address, get, send } from "./server.ts"

const logs = (parameters: Record<string, string>) => get("/api/analytics/logs", parameters)
const sendJson = (entries: unknown) => send("/api/analytics/logs", "application/json", JSON.stringify(entries))
const sendLines = (lines: string | Uint8Array<ArrayBuffer>, type = "application/x-ndjson") =>
  send("/api/analytics/logs", type, lines)

const line = (members: Record<string, unknown>) =>
  JSON.stringify({ level: "info", service: "s", message: "m", ...members })

const requestRecord = {
  requestId: "r",
  timestamp: "2026-01-01T00:00:00.000Z",
  method: "GET",
  path: "/",
  route: "r",
  service: "s",
  status: 200,
  durationMillis: 1
}

layer(Address.layer, { excludeTestServices: true })("The analytics app with logs", (it) => {
  it.effect("stores a JSON array of entries, gives them the time of arrival, and lists them", () =>
    Effect.gen(function* () {
      const before = yield* Clock.currentTimeMillis
      const sent = yield* sendJson([
        { level: "info", service: "json", message: "one" },
        {
          level: "error",
          service: "json",
          message: "two",
          timestamp: "2026-01-02T03:04:05.678901+02:00",
          data: { a: 1 }
        }
      ])
      assert.deepStrictEqual(sent, { status: 200, body: { accepted: 2 } })
      const { body } = yield* logs({ service: "json" })
      const [newest, oldest] = body.items ?? []
      assert.isAtLeast(Date.parse(String(newest?.timestamp)), before)
      assert.isAtMost(Date.parse(String(newest?.timestamp)), yield* Clock.currentTimeMillis)
      assert.deepStrictEqual(oldest, {
        timestamp: "2026-01-02T01:04:05.678Z",
        level: "error",
        service: "json",
        message: "two",
        data: { a: 1 }
      })
    })
  )

  it.effect("stores NDJSON with either content type, blank lines, CRLF, and no newline at the end", () =>
    Effect.gen(function* () {
      const text = `\n${line({ service: "ndjson", message: "ä" })}\r\n\r\n${line({ service: "ndjson", message: "b" })}`
      assert.deepStrictEqual((yield* sendLines(text)).body, { accepted: 2 })
      assert.deepStrictEqual((yield* sendLines(`${text}\n`, "application/jsonl; charset=utf-8")).body, { accepted: 2 })
      assert.deepStrictEqual((yield* sendLines("")).body, { accepted: 0 })
      const { body } = yield* logs({ service: "ndjson" })
      assert.deepStrictEqual(
        body.items?.map((item) => item.message),
        ["b", "ä", "b", "ä"]
      )
    })
  )

  it.effect("names the line and the field of everything that is wrong in NDJSON, and stores nothing of it", () =>
    Effect.gen(function* () {
      const text = [line({ service: "bad" }), "", line({ service: "bad", level: "loud", extra: 1 }), "{", "7"].join(
        "\n"
      )
      const { body, status } = yield* sendLines(text)
      assert.strictEqual(status, 400)
      assert.deepStrictEqual(
        body.errors?.map((error) => error.path),
        [
          ["payload", 3, "extra"],
          ["payload", 3, "level"],
          ["payload", 4],
          ["payload", 5]
        ]
      )
      assert.include(String(body.detail), "line 3")
      assert.deepStrictEqual((yield* logs({ service: "bad" })).body.items, [])
    })
  )

  it.effect("names the line that is not UTF-8", () =>
    Effect.gen(function* () {
      const { body, status } = yield* sendLines(
        Uint8Array.from([...new TextEncoder().encode(`${line({ service: "bad" })}\n"`), 0xff, 0x22])
      )
      assert.strictEqual(status, 400)
      assert.deepStrictEqual(body.errors, [{ path: ["payload", 2], message: "line 2: Expected UTF-8" }])
    })
  )

  it.effect("names the entry of an array that is not UTF-8, not JSON, or has half of a surrogate pair", () =>
    Effect.gen(function* () {
      const good = line({ service: "bad" })
      const wrong = [good, good.replace('"m"', `"\xff"`), "{", good.replace('"m"', String.raw`"\ud800"`)].join(",")
      const { body, status } = yield* send(
        "/api/analytics/logs",
        "application/json",
        Uint8Array.from(Buffer.from(`[${wrong}]`, "latin1"))
      )
      assert.strictEqual(status, 400)
      assert.deepStrictEqual(body.errors?.[0], { path: ["payload", 1], message: "Expected UTF-8" })
      for (const [text, path] of [
        [`[${good},{]`, ["payload", 1]],
        [`[${good},]`, ["payload", 1]],
        [`[${good}`, ["payload", 0]],
        [`[${good}]x`, ["payload"]],
        [good, ["payload"]],
        ["", ["payload"]],
        [`[${good},${good.replace('"m"', String.raw`"\ud800"`)}]`, ["payload", 1, "message"]]
      ] as const) {
        const answer = yield* send("/api/analytics/logs", "application/json", text)
        assert.strictEqual(answer.status, 400, text)
        assert.deepStrictEqual(answer.body.errors?.[0]?.path, [...path], text)
      }
      assert.deepStrictEqual((yield* logs({ service: "bad" })).body.items, [])
    })
  )

  it.effect("refuses times that are not RFC 3339, naming the entry", () =>
    Effect.gen(function* () {
      for (const timestamp of ["2024-02-30T00:00:00Z", "1", "2026-01-01", "2026-01-01T00:00:00", 1, null]) {
        const entry = { level: "info", service: "bad time", message: "m", timestamp }
        const inArray = yield* sendJson([entry])
        assert.deepStrictEqual(inArray.body.errors?.[0]?.path, ["payload", 0, "timestamp"])
        const inLines = yield* sendLines(line(entry))
        assert.deepStrictEqual(inLines.body.errors?.[0]?.path, ["payload", 1, "timestamp"])
        const record = { ...requestRecord, timestamp }
        const ofRequest = yield* send("/api/analytics/requests", "application/json", JSON.stringify([record]))
        assert.deepStrictEqual(ofRequest.body.errors?.[0]?.path, ["payload", 0, "timestamp"])
      }
    })
  )

  it.effect("gives data back character by character, in lists and with their request", () =>
    Effect.gen(function* () {
      const data = String.raw`{"b": 9007199254740993, "a":[1.10, -0, 1E3, 0.1000000000000000055511151231257827], "\ud800":"\u00e9"}`
      const entry = String.raw`{"level":"info","data":${data} ,"service":"digits","message":"x \" \"data\":1","requestId":"digits"}`
      yield* send(
        "/api/analytics/requests",
        "application/json",
        JSON.stringify([{ ...requestRecord, requestId: "digits" }])
      )
      assert.strictEqual((yield* send("/api/analytics/logs", "application/json", `[${entry}]`)).status, 200)
      assert.strictEqual((yield* sendLines(entry)).status, 200)
      const address = yield* Address
      for (const path of ["logs?service=digits", "requests/digits"]) {
        const text = yield* Effect.promise(() => fetch(`${address}/api/analytics/${path}`).then((_) => _.text()))
        assert.strictEqual(text.split(data).length, 3)
      }
    })
  )

  it.effect("ends a page of large entries early, and a request's entries, and says so", () =>
    Effect.gen(function* () {
      const entry = line({ service: "heavy", requestId: "heavy", data: "x".repeat(1000 * 1000) })
      yield* sendLines(Array.from({ length: 11 }, () => entry).join("\n"))
      yield* send(
        "/api/analytics/requests",
        "application/json",
        JSON.stringify([{ ...requestRecord, requestId: "heavy" }])
      )
      const sizes: Array<number> = []
      let cursor: string | undefined
      do {
        const { body } = yield* logs({ service: "heavy", limit: "1000", ...(cursor === undefined ? {} : { cursor }) })
        sizes.push(body.items?.length ?? 0)
        cursor = body.nextCursor
      } while (cursor !== undefined)
      assert.deepStrictEqual(sizes, [4, 4, 3])
      const { body } = yield* get("/api/analytics/requests/heavy")
      assert.strictEqual(Array.isArray(body.logs) ? body.logs.length : 0, 4)
      assert.isTrue(body.truncated)
    })
  )

  it.effect("names the index and the field of what is wrong in an array, and stores nothing of it", () =>
    Effect.gen(function* () {
      const good = { level: "info", service: "bad array", message: "m" }
      const { body, status } = yield* sendJson([good, good, good, { ...good, level: "loud" }])
      assert.strictEqual(status, 400)
      assert.deepStrictEqual(
        body.errors?.map((error) => error.path),
        [["payload", 3, "level"]]
      )
      assert.deepStrictEqual((yield* logs({ service: "bad array" })).body.items, [])
    })
  )

  it.effect("takes data that is nested 64 deep and refuses what is deeper", () =>
    Effect.gen(function* () {
      const nested = (depth: number) => JSON.parse("[".repeat(depth) + "]".repeat(depth))
      assert.strictEqual((yield* sendLines(line({ service: "deep", data: nested(64) }))).status, 200)
      for (const depth of [65, 100_000]) {
        const data = "[".repeat(depth) + "]".repeat(depth)
        const bad = `{"level":"info","service":"deep","message":"m","data":${data}}`
        const inLines = yield* sendLines(`${line({ service: "deep" })}\n${bad}`)
        assert.strictEqual(inLines.status, 400)
        assert.deepStrictEqual(inLines.body.errors?.[0]?.path.slice(0, 2), ["payload", 2])
        const inArray = yield* send("/api/analytics/logs", "application/json", `[${bad}]`)
        assert.strictEqual(inArray.status, 400)
        assert.include(inArray.body.errors?.[0]?.message, "nested")
      }
      const { body } = yield* logs({ service: "deep" })
      assert.deepStrictEqual(
        body.items?.map((item) => item.data),
        [nested(64)]
      )
    })
  )

  it.effect("takes lines of almost 1 MiB, one after the other", () =>
    Effect.gen(function* () {
      const long = line({ service: "long", data: "x".repeat(1024 * 1024 - 100) })
      assert.deepStrictEqual((yield* sendLines([long, long, long].join("\n"))).body, { accepted: 3 })
    })
  )

  it.effect("refuses a line of more than 1 MiB, more than 50 000 entries, and another content type", () =>
    Effect.gen(function* () {
      const long = yield* sendLines(`${line({ service: "large" })}\n${line({ data: "x".repeat(1024 * 1024) })}\n`)
      assert.strictEqual(long.status, 413)
      assert.strictEqual(long.body.limit, 1024 * 1024)
      assert.include(long.body.detail, "line 2 has more than")
      const large = yield* sendJson([{ level: "info", service: "large", message: "m", data: "x".repeat(1024 * 1024) }])
      assert.strictEqual(large.status, 413)
      assert.include(large.body.detail, "entry 0 has more than")
      const many = yield* sendLines(`${line({ service: "large" })}\n`.repeat(50_001))
      assert.strictEqual(many.status, 400)
      assert.deepStrictEqual(
        many.body.errors?.map((error) => error.path),
        [["payload"]]
      )
      assert.strictEqual((yield* sendLines("x", "text/plain")).status, 415)
      assert.deepStrictEqual((yield* logs({ service: "large" })).body.items, [])
    })
  )

  it.effect("pages through all entries by cursor and refuses a cursor of its own making", () =>
    Effect.gen(function* () {
      const timestamp = "2026-01-01T00:00:00Z"
      yield* sendJson(
        Array.from({ length: 25 }, (_, i) => ({ level: "info", service: "pages", message: `${i}`, timestamp }))
      )
      const seen: Array<unknown> = []
      let cursor: string | undefined
      do {
        const parameters = { service: "pages", limit: "10", ...(cursor === undefined ? {} : { cursor }) }
        const { body } = yield* logs(parameters)
        seen.push(...(body.items ?? []).map((item) => Number(item.message)))
        cursor = body.nextCursor
      } while (cursor !== undefined)
      assert.deepStrictEqual(
        seen,
        Array.from({ length: 25 }, (_, i) => 24 - i)
      )
      for (const invalid of ["x", "MTIz", "!", btoa("1.2.3"), btoa("99999999999999999.1"), btoa("1.x")]) {
        const { body, status } = yield* logs({ cursor: invalid })
        assert.strictEqual(status, 400)
        assert.deepStrictEqual(
          body.errors?.map((error) => error.path),
          [["query", "cursor"]]
        )
      }
    })
  )

  it.effect("refuses a time that ends before it begins, naming the field", () =>
    Effect.gen(function* () {
      const range = { from: "2026-01-01T00:00:00Z", to: "2026-01-01T00:00:00Z" }
      for (const path of ["/api/analytics/logs", "/api/analytics/metrics"]) {
        const { body, status } = yield* get(path, range)
        assert.strictEqual(status, 400)
        assert.deepStrictEqual(
          body.errors?.map((error) => error.path),
          [["query", "from"]]
        )
      }
      for (const from of ["2026-02-30T00:00:00Z", "1", "2026-01-01", "+275760-09-13T00:00:00.000Z"]) {
        assert.deepStrictEqual((yield* logs({ from })).body.errors?.[0]?.path, ["query", "from"])
        assert.strictEqual((yield* get("/api/analytics/metrics", { from })).status, 400)
      }
    })
  )
})
