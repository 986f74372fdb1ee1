import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ask, askJson, Served, text, upload } from "./server.ts"

const file = Effect.fnUntraced(function* () {
  const [info] = yield* upload(["file", text("c", "content")], ["tags", '{"count":"0"}'])
  return info === undefined ? yield* Effect.die(new Error("nothing was stored")) : info
})

const patch = (id: string, body: unknown, headers: Record<string, string> = {}) =>
  askJson(`/api/files/${id}/metadata`, {
    method: "PATCH",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers }
  })

const later = new Date("2100-01-01").toUTCString()
const earlier = new Date("2000-01-01").toUTCString()

layer(Served.layer(), { excludeTestServices: true })("Conditions on files", (it) => {
  it.effect("lose no update: 200 increments of a tag by 4 clients end at 200", () =>
    Effect.gen(function* () {
      const { id } = yield* file()
      const increment: Effect.Effect<void, never, Served> = Effect.gen(function* () {
        const { body, headers } = yield* askJson(`/api/files/${id}/metadata`)
        const { count } = JSON.parse(JSON.stringify(body.tags))
        const { status } = yield* patch(
          id,
          { tags: { count: String(Number(count) + 1) } },
          { "if-match": headers.get("etag") ?? "" }
        )
        if (status === 412) return yield* increment
        assert.strictEqual(status, 200)
      })
      yield* Effect.forEach(
        [1, 2, 3, 4],
        () => Effect.forEach(Array.from({ length: 50 }), () => increment, { discard: true }),
        { concurrency: "unbounded", discard: true }
      )
      const { body, headers } = yield* askJson(`/api/files/${id}/metadata`)
      assert.deepStrictEqual(body.tags, { count: "200" })
      assert.deepStrictEqual([headers.get("etag"), body.revision], ['"201"', 201])
    })
  )

  it.effect("hold for the metadata by an ETag that each change replaces", () =>
    Effect.gen(function* () {
      const { id } = yield* file()
      const first = yield* askJson(`/api/files/${id}/metadata`)
      assert.strictEqual(first.headers.get("etag"), '"1"')
      const known = yield* ask(`/api/files/${id}/metadata`, { headers: { "if-none-match": '"1"' } })
      assert.deepStrictEqual([known.status, known.bytes.length], [304, 0])
      const changed = yield* patch(id, { name: "d" }, { "if-match": '"1"' })
      assert.deepStrictEqual([changed.status, changed.headers.get("etag")], [200, '"2"'])
      for (const headers of [
        { "if-match": '"1"' },
        { "if-match": 'W/"2"' },
        { "if-none-match": "*" },
        { "if-none-match": '"2"' },
        { "if-unmodified-since": earlier }
      ]) {
        const { body, status } = yield* patch(id, { name: "e" }, headers)
        assert.strictEqual(status, 412, JSON.stringify(headers))
        assert.deepInclude(body, { type: "urn:opsbuddy:problem:precondition-failed", etag: '"2"' })
      }
      assert.strictEqual((yield* patch(id, { name: "e" }, { "if-match": "no quotes" })).status, 400)
      assert.strictEqual((yield* patch(id, { name: "e" }, { "if-match": "*" })).status, 200)
      assert.strictEqual((yield* patch(id, { name: "f" })).status, 200)
      assert.strictEqual((yield* askJson(`/api/files/${id}/metadata`, { headers: { "if-match": '"1"' } })).status, 412)
    })
  )

  it.effect("hold for reading the content", () =>
    Effect.gen(function* () {
      const { id, modifiedAt, sha256 } = yield* file()
      const since = new Date(modifiedAt.epochMilliseconds).toUTCString()
      const cases: ReadonlyArray<readonly [number, Record<string, string>]> = [
        [200, { "if-match": `"${sha256}"` }],
        [200, { "if-match": "*" }],
        [412, { "if-match": '"other"' }],
        [412, { "if-match": `W/"${sha256}"` }],
        [412, { "if-unmodified-since": earlier }],
        [200, { "if-unmodified-since": later }],
        [304, { "if-modified-since": since }],
        [304, { "if-modified-since": later }],
        [200, { "if-modified-since": earlier }],
        [200, { "if-modified-since": later, "if-none-match": '"other"' }],
        [304, { "if-none-match": `W/"${sha256}"` }],
        [206, { range: "bytes=0-1", "if-range": `"${sha256}"` }],
        [200, { range: "bytes=0-1", "if-range": `W/"${sha256}"` }],
        [412, { range: "bytes=0-1", "if-match": '"other"' }]
      ]
      for (const [status, headers] of cases) {
        for (const method of ["GET", "HEAD"]) {
          const expected = method === "HEAD" && status === 206 ? 200 : status
          const response = yield* ask(`/api/files/${id}`, { method, headers })
          assert.strictEqual(response.status, expected, `${method} ${JSON.stringify(headers)}`)
        }
      }
    })
  )

  it.effect("hold for a removal", () =>
    Effect.gen(function* () {
      const { id, sha256 } = yield* file()
      const remove = (headers: Record<string, string>) => ask(`/api/files/${id}`, { method: "DELETE", headers })
      assert.strictEqual((yield* remove({ "if-match": '"other"' })).status, 412)
      assert.strictEqual((yield* remove({ "if-unmodified-since": earlier })).status, 412)
      assert.strictEqual((yield* ask(`/api/files/${id}`)).status, 200)
      assert.strictEqual((yield* remove({ "if-match": `"${sha256}"` })).status, 204)
      assert.strictEqual((yield* remove({ "if-match": `"${sha256}"` })).status, 404)
    })
  )

  it.effect("and everything else take an id in upper case for the same file", () =>
    Effect.gen(function* () {
      const { id } = yield* file()
      const upper = id.toUpperCase()
      assert.strictEqual((yield* ask(`/api/files/${upper}`)).status, 200)
      assert.strictEqual((yield* askJson(`/api/files/${upper}/metadata`)).body.id, id)
      assert.strictEqual((yield* patch(upper, { name: "upper" })).body.name, "upper")
      const lower = yield* askJson(`/api/files?cursor=${id}`)
      assert.deepStrictEqual((yield* askJson(`/api/files?cursor=${upper}`)).body, lower.body)
      assert.strictEqual((yield* ask(`/api/files/${upper}`, { method: "DELETE" })).status, 204)
      assert.strictEqual((yield* ask(`/api/files/${id}`)).status, 404)
    })
  )
})
