import { randomBytes } from "node:crypto"
import { renameSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, References } from "effect"
import { onDisk } from "./folders.ts"
import { ask, askJson, patch, post, Served, send, text, upload } from "./server.ts"

const names = (body: Readonly<Record<string, unknown>>) =>
  Array.isArray(body.items) ? body.items.map((item) => item.name) : []

layer(Served.layer(), { excludeTestServices: true })("The files app", (it) => {
  it.effect("stores a file with its tags, and gives the same bytes back", () =>
    Effect.gen(function* () {
      const content = "hello\u0000 wörld\r\n--xyz"
      const file = text("example.txt", content)
      const [info] = yield* upload(["file", file], ["tags", '{"category":"logs"}'])
      assert.isDefined(info)
      // Bun names the charset in what it sends.
      assert.deepInclude(info, { name: "example.txt", size: 20, contentType: file.type, tags: { category: "logs" } })
      assert.deepStrictEqual(info.createdAt, info.modifiedAt)
      const { body } = yield* askJson(`/api/files/${info.id}/metadata`)
      assert.deepStrictEqual(body, JSON.parse(JSON.stringify(info)))
      const download = yield* ask(`/api/files/${info.id}`)
      assert.strictEqual(new TextDecoder().decode(download.bytes), content)
    })
  )

  it.effect("stores several files at once in their order, with tags that come in between", () =>
    Effect.gen(function* () {
      const infos = yield* upload(
        ["file", text("1", "a")],
        ["tags", '{"set":"x"}'],
        ["file", text("2", "")],
        ["file", text("1", "c")]
      )
      assert.deepStrictEqual(
        infos.map(({ name, size, tags }) => [name, size, tags.set]),
        [
          ["1", 1, "x"],
          ["2", 0, "x"],
          ["1", 1, "x"]
        ]
      )
      const { body } = yield* askJson("/api/files?tag=set:x")
      assert.deepStrictEqual(names(body), ["1", "2", "1"])
    })
  )

  it.effect("takes a JSON file of any size as a file, not as a field", () =>
    Effect.gen(function* () {
      const file = text("data.json", `"${"x".repeat(100_000)}"`, "application/json")
      const [info] = yield* upload(["file", file])
      assert.deepInclude(info, { name: "data.json", size: 100_002, contentType: file.type })
    })
  )

  it.effect("keeps names in any script, and only their last segment", () =>
    Effect.gen(function* () {
      const named: ReadonlyArray<readonly [string, string]> = [
        ['filename="日本 😀.txt"', "日本 😀.txt"],
        ["filename=x; filename*=UTF-8''%e2%82%ac%20rates", "€ rates"],
        ['filename="../../etc/passwd"', "passwd"],
        ['filename="C:\\temp\\a b.txt"', "a b.txt"],
        ['filename="a\\"b%22c"', 'a"b"c'],
        [`filename="${"n".repeat(255)}"`, "n".repeat(255)]
      ]
      for (const [parameter, name] of named) {
        const body = `--xyz\r\nContent-Disposition: form-data; name="file"; ${parameter}\r\n\r\nx\r\n--xyz--\r\n`
        const { items } = yield* post(body)
        assert.strictEqual(items[0].name, name)
      }
    })
  )

  it.effect("keeps apart what is uploaded at the same time", () =>
    Effect.gen(function* () {
      const contents = Array.from({ length: 24 }, (_, n) => randomBytes(n * 20_000))
      const infos = yield* Effect.forEach(
        contents,
        (content, n) => upload(["file", new File([content], `same ${n}`)]),
        {
          concurrency: "unbounded"
        }
      )
      for (const [n, [info]] of infos.entries()) {
        const { bytes } = yield* ask(`/api/files/${info?.id}`)
        assert.isTrue(contents[n]?.equals(bytes), `file ${n}`)
      }
      assert.strictEqual(new Set(infos.map(([info]) => info?.id)).size, 24)
    })
  )

  it.effect("lists by name and tags, newest first, page by page", () =>
    Effect.gen(function* () {
      for (let n = 0; n < 7; n++) {
        yield* upload(
          ["file", text(`Paged Ä ${n}.log`, "x")],
          ["tags", JSON.stringify({ odd: String(n % 2), "a.b": "c:d" })]
        )
      }
      const walked: Array<unknown> = []
      let cursor = ""
      do {
        const { body } = yield* askJson(
          `/api/files?limit=2&name=${encodeURIComponent("paged ä")}&tag=odd:0&tag=a.b:c:d${cursor}`
        )
        walked.push(names(body))
        cursor = body.nextCursor === undefined ? "" : `&cursor=${body.nextCursor}`
      } while (cursor !== "")
      assert.deepStrictEqual(walked, [
        ["Paged Ä 6.log", "Paged Ä 4.log"],
        ["Paged Ä 2.log", "Paged Ä 0.log"]
      ])
    })
  )

  it.effect("refuses what is wrong in a request, naming it", () =>
    Effect.gen(function* () {
      const [info] = yield* upload(["file", text("a", "x")])
      const id = info?.id ?? ""
      const wrong: ReadonlyArray<readonly [string, ReturnType<typeof askJson>]> = [
        ["query.cursor", askJson("/api/files?cursor=abc")],
        ["query.limit", askJson("/api/files?limit=0")],
        ["query.tag.0", askJson("/api/files?tag=nocolon")],
        ["query.colour", askJson("/api/files?colour=red")],
        ["params.id", askJson("/api/files/abc")],
        ["payload.name", patch(id, { name: "a/b" })],
        ["payload.name", patch(id, { name: ".." })],
        ["payload.name", patch(id, { name: "\ud800" })],
        ["payload.tags.a", patch(id, { tags: { a: 1 } })],
        ["payload.tags.a b", patch(id, { tags: { "a b": "" } })],
        ["payload.size", patch(id, { size: 1 })]
      ]
      for (const [path, answer] of wrong) {
        const { body, status } = yield* answer
        assert.strictEqual(status, 400, path)
        assert.deepStrictEqual(Array.isArray(body.errors) && body.errors[0].path.join("."), path)
      }
    })
  )

  it.effect("changes name and tags, each alone, and finds the file under the new ones only", () =>
    Effect.gen(function* () {
      const [info] = yield* upload(["file", text("before.txt", "x")], ["tags", '{"old":"1","both":"1"}'])
      const id = info?.id ?? ""
      const renamed = yield* patch(id, { name: "after.txt" })
      assert.deepInclude(renamed.body, { name: "after.txt", tags: { old: "1", both: "1" } })
      const tagged = yield* patch(id, { tags: { both: "2" } })
      assert.deepInclude(tagged.body, { name: "after.txt", tags: { both: "2" }, size: 1 })
      assert.isAtLeast(Date.parse(String(tagged.body.modifiedAt)), Date.parse(String(tagged.body.createdAt)))
      for (const query of ["name=before", "tag=old:1", "tag=both:1"]) {
        assert.deepStrictEqual(names((yield* askJson(`/api/files?${query}`)).body), [], query)
      }
      assert.deepStrictEqual(names((yield* askJson("/api/files?name=AFTER&tag=both:2")).body), ["after.txt"])
      const unchanged = yield* patch(id, {})
      assert.deepStrictEqual(unchanged.body, tagged.body)
    })
  )

  it.effect("removes a file for good, and frees its space", () =>
    Effect.gen(function* () {
      const { directory } = yield* Served
      const [info] = yield* upload(["file", text("gone", "x")], ["tags", '{"gone":"1"}'])
      const id = info?.id ?? ""
      assert.include(onDisk(directory).contents, id)
      assert.strictEqual((yield* ask(`/api/files/${id}`, { method: "DELETE" })).status, 204)
      assert.notInclude(onDisk(directory).contents, id)
      const problem = { type: "urn:opsbuddy:problem:file-not-found", status: 404, id }
      assert.deepInclude((yield* askJson(`/api/files/${id}`)).body, problem)
      assert.deepInclude((yield* askJson(`/api/files/${id}/metadata`)).body, problem)
      assert.deepInclude((yield* patch(id, { name: "b" })).body, problem)
      assert.deepInclude((yield* patch(id, { tags: { a: "" } })).body, problem)
      assert.deepInclude((yield* askJson(`/api/files/${id}`, { method: "DELETE" })).body, problem)
      assert.deepStrictEqual(names((yield* askJson("/api/files?tag=gone:1")).body), [])
    })
  )

  it.effect("tells where the bytes are and how many", () =>
    Effect.gen(function* () {
      const { directory } = yield* Served
      const storage = Effect.map(askJson("/status"), ({ body }) => JSON.parse(JSON.stringify(body.storage)))
      const before = yield* storage
      assert.strictEqual(before.location, directory)
      yield* upload(["file", text("large", "x".repeat(1_000_000))])
      assert.isAtLeast((yield* storage).bytes - before.bytes, 1_000_000)
    })
  )
})

describe("The health of the files app", () => {
  const health = Effect.map(askJson("/health"), ({ body, status }) => [status, body.status, body.database])

  it.live("is degraded while the disk cannot be written, and uploads are refused as such", () =>
    Effect.gen(function* () {
      const { directory } = yield* Served
      assert.deepStrictEqual(yield* health, [200, "healthy", "healthy"])
      renameSync(join(directory, "incoming"), join(directory, "elsewhere"))
      assert.deepStrictEqual(yield* health, [200, "degraded", "degraded"])
      const { body, status } = yield* send(["file", text("a", "x")])
      assert.strictEqual(status, 503)
      assert.strictEqual(body.type, "urn:opsbuddy:problem:store-unavailable")
      renameSync(join(directory, "elsewhere"), join(directory, "incoming"))
      assert.deepStrictEqual(yield* health, [200, "healthy", "healthy"])
      assert.strictEqual((yield* send(["file", text("a", "x")])).status, 201)
    }).pipe(Effect.provide(Served.layer()), Effect.provideService(References.MinimumLogLevel, "None"))
  )

  it.live("is unhealthy when the index does not answer, and no upload is kept then", () =>
    Effect.gen(function* () {
      const { directory } = yield* Served
      const database = new DatabaseSync(join(directory, "index.db"))
      database.exec("ALTER TABLE files RENAME TO hidden")
      assert.deepStrictEqual(yield* health, [503, "unhealthy", "unhealthy"])
      const { body, status } = yield* send(["file", text("a", "x")], ["file", text("b", "y")])
      assert.strictEqual(status, 503)
      assert.strictEqual(body.type, "urn:opsbuddy:problem:store-unavailable")
      assert.deepStrictEqual(onDisk(directory), { incoming: [], contents: [] })
      database.exec("ALTER TABLE hidden RENAME TO files")
      database.close()
      assert.deepStrictEqual(yield* health, [200, "healthy", "healthy"])
    }).pipe(Effect.provide(Served.layer()), Effect.provideService(References.MinimumLogLevel, "None"))
  )
})
