import { createHash, randomBytes } from "node:crypto"
import { existsSync, readdirSync, readlinkSync } from "node:fs"
import { createConnection } from "node:net"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { until } from "./folders.ts"
import { ask, askJson, Served, text, upload } from "./server.ts"

const uploaded = Effect.fnUntraced(function* (file: File) {
  const [info] = yield* upload(["file", file])
  return info === undefined ? yield* Effect.die(new Error("nothing was stored")) : info
})

/** How many files of the store this process, which serves them, has open; the index is none of them. */
const openContents = (directory: string) =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${directory}/content/`)
    } catch {
      return false
    }
  }).length

layer(Served.layer(), { excludeTestServices: true })("A download", (it) => {
  it.effect("tells type, length, name, digest and age, and is no page of ours", () =>
    Effect.gen(function* () {
      const page = "<script>alert(1)</script>"
      const file = text("päge.html", page, "text/html")
      const { id, modifiedAt } = yield* uploaded(file)
      const sha256 = createHash("sha256").update(page).digest("hex")
      for (const method of ["GET", "HEAD"]) {
        const { bytes, headers, status } = yield* ask(`/api/files/${id}`, { method })
        assert.strictEqual(status, 200)
        assert.strictEqual(new TextDecoder().decode(bytes), method === "GET" ? page : "")
        assert.strictEqual(headers.get("content-type"), file.type)
        assert.strictEqual(headers.get("content-length"), String(page.length))
        assert.strictEqual(
          headers.get("content-disposition"),
          "attachment; filename=\"p_ge.html\"; filename*=UTF-8''p%C3%A4ge.html"
        )
        assert.strictEqual(headers.get("etag"), `"${sha256}"`)
        assert.strictEqual(headers.get("last-modified"), new Date(modifiedAt.epochMilliseconds).toUTCString())
        assert.strictEqual(headers.get("accept-ranges"), "bytes")
        assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
        assert.strictEqual(headers.get("content-security-policy"), "sandbox")
      }
    })
  )

  it.effect("of one range gives these bytes alone", () =>
    Effect.gen(function* () {
      const content = randomBytes(300_000)
      const { id } = yield* uploaded(new File([content], "r"))
      const ranges: ReadonlyArray<readonly [string, number, number]> = [
        ["0-0", 0, 1],
        ["10-99", 10, 100],
        ["299999-", 299_999, 300_000],
        ["100000-99999999", 100_000, 300_000],
        ["-1", 299_999, 300_000],
        ["-400000", 0, 300_000],
        ["0-", 0, 300_000]
      ]
      for (const [range, from, to] of ranges) {
        const { bytes, headers, status } = yield* ask(`/api/files/${id}`, { headers: { range: `bytes=${range}` } })
        assert.strictEqual(status, 206, range)
        assert.strictEqual(headers.get("content-range"), `bytes ${from}-${to - 1}/300000`)
        assert.strictEqual(headers.get("content-length"), String(to - from))
        assert.isTrue(content.subarray(from, to).equals(bytes), range)
      }
    })
  )

  it.effect("of a range outside of the file is refused with the file's size", () =>
    Effect.gen(function* () {
      const { id } = yield* uploaded(text("r", "0123456789"))
      for (const range of ["10-", "10-20", "-0"]) {
        const { body, headers, status } = yield* askJson(`/api/files/${id}`, { headers: { range: `bytes=${range}` } })
        assert.strictEqual(status, 416, range)
        assert.strictEqual(headers.get("content-range"), "bytes */10")
        assert.deepInclude(body, { type: "urn:opsbuddy:problem:range-not-satisfiable", size: 10 })
      }
    })
  )

  it.effect("is whole where a range is not one range of bytes, or of another content", () =>
    Effect.gen(function* () {
      const { id, modifiedAt, sha256 } = yield* uploaded(text("r", "0123456789"))
      const whole: ReadonlyArray<Record<string, string>> = [
        { range: "bytes=0-1,4-5" },
        { range: "lines=0-1" },
        { range: "bytes=5-4" },
        { range: "bytes=-" },
        { range: "bytes=a-b" },
        { range: "bytes=0-1", "if-range": '"other"' },
        { range: "bytes=0-1", "if-range": new Date(0).toUTCString() }
      ]
      for (const headers of whole) {
        const { bytes, status } = yield* ask(`/api/files/${id}`, { headers })
        assert.deepStrictEqual([status, bytes.length], [200, 10], JSON.stringify(headers))
      }
      for (const same of [`"${sha256}"`, new Date(modifiedAt.epochMilliseconds).toUTCString()]) {
        const { bytes, status } = yield* ask(`/api/files/${id}`, { headers: { range: "bytes=0-1", "if-range": same } })
        assert.deepStrictEqual([status, bytes.length], [206, 2], same)
      }
      const head = yield* ask(`/api/files/${id}`, { method: "HEAD", headers: { range: "bytes=0-1" } })
      assert.deepStrictEqual([head.status, head.headers.get("content-length")], [200, "10"])
    })
  )

  it.effect("is not sent again to who has it", () =>
    Effect.gen(function* () {
      const { id, sha256 } = yield* uploaded(text("r", "0123456789"))
      for (const tag of [`"${sha256}"`, `W/"${sha256}"`, `"a", "${sha256}"`, "*"]) {
        const { bytes, headers, status } = yield* ask(`/api/files/${id}`, {
          headers: { "if-none-match": tag, range: "bytes=0-1" }
        })
        assert.deepStrictEqual([status, bytes.length, headers.get("etag")], [304, 0, `"${sha256}"`], tag)
      }
      assert.strictEqual((yield* ask(`/api/files/${id}`, { headers: { "if-none-match": '"other"' } })).status, 200)
    })
  )

  it.effect("of an empty file is empty, whole, and has no ranges", () =>
    Effect.gen(function* () {
      const { id } = yield* uploaded(text("empty", ""))
      const { bytes, headers, status } = yield* ask(`/api/files/${id}`)
      assert.deepStrictEqual([status, bytes.length, headers.get("content-length")], [200, 0, "0"])
      assert.strictEqual((yield* ask(`/api/files/${id}`, { headers: { range: "bytes=0-" } })).status, 416)
    })
  )

  it.effect("goes on to its end when the file is removed meanwhile", () =>
    Effect.gen(function* () {
      const { address } = yield* Served
      const content = randomBytes(30_000_000)
      const { id } = yield* uploaded(new File([content], "slow"))
      const received = yield* Effect.promise(async () => {
        const response = await fetch(`${address}/api/files/${id}`)
        const removed = await fetch(`${address}/api/files/${id}`, { method: "DELETE" })
        assert.strictEqual(removed.status, 204)
        return new Uint8Array(await response.arrayBuffer())
      })
      assert.isTrue(content.equals(received))
    })
  )

  it.effect.skipIf(!existsSync("/proc/self/fd"))("leaves no file open, also when the client goes away", () =>
    Effect.gen(function* () {
      const { directory, port } = yield* Served
      const { id } = yield* uploaded(new File([randomBytes(30_000_000)], "abandoned"))
      yield* ask(`/api/files/${id}`, { method: "HEAD" })
      yield* Effect.forEach(
        Array.from({ length: 10 }),
        () =>
          Effect.callback<void>((resume) => {
            const socket = createConnection({ port, host: "127.0.0.1" })
            socket.write(`GET /api/files/${id} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
            socket.once("data", () => {
              socket.resetAndDestroy()
              resume(Effect.void)
            })
          }),
        { concurrency: "unbounded" }
      )
      yield* until(() => openContents(directory) === 0)
    })
  )
})
