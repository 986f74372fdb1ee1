import { randomBytes } from "node:crypto"
import { closeSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs"
import { createConnection } from "node:net"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import type { FileInfo } from "@opsbuddy/contract/Files"
import { Effect } from "effect"
import { ask, askJson, Served, upload } from "./server.ts"

const mebibyte = 1024 * 1024

const uploaded = Effect.fnUntraced(function* (content: Buffer) {
  const { directory } = yield* Served
  const [info] = yield* upload(["file", new File([new Uint8Array(content)], "d")])
  if (info === undefined) return yield* Effect.die(new Error("nothing was stored"))
  return { info, file: join(directory, "content", info.id.slice(-2), info.id) }
})

const overwrite = (file: string, offset: number, bytes: Uint8Array) => {
  const descriptor = openSync(file, "r+")
  writeSync(descriptor, bytes, 0, bytes.length, offset)
  closeSync(descriptor)
}

/** What comes over the connection until it is closed: the head, the bytes of the body as framed, and how it ended. */
const raw = Effect.fnUntraced(function* (path: string, ...headers: ReadonlyArray<string>) {
  const { port } = yield* Served
  const received = yield* Effect.callback<Buffer>((resume) => {
    const pieces: Array<Buffer> = []
    const socket = createConnection({ port, host: "127.0.0.1" })
    socket.on("data", (piece) => pieces.push(piece))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(Buffer.concat(pieces))))
    socket.write([`GET ${path} HTTP/1.1`, "Host: localhost", "Connection: close", ...headers, "", ""].join("\r\n"))
  })
  const end = received.indexOf("\r\n\r\n")
  return { head: received.subarray(0, end).toString(), body: received.subarray(end + 4) }
})

const notices = Effect.map(askJson("/status"), ({ body }) =>
  Array.isArray(body.notices) ? body.notices.map(({ message }) => String(message)) : []
)

const isDamaged = (body: Readonly<Record<string, unknown>>, { id }: FileInfo) => {
  assert.deepInclude(body, { type: "urn:opsbuddy:problem:content-damaged", status: 500, id })
  assert.include(String(body.detail), id)
}

layer(Served.layer(), { excludeTestServices: true })("A damaged content", (it) => {
  it.effect("is cut off before its damaged block, without the end of a body, and reported once", () =>
    Effect.gen(function* () {
      const content = randomBytes(5 * mebibyte)
      const { file, info } = yield* uploaded(content)
      overwrite(file, 3 * mebibyte + 17, Buffer.from("four"))
      for (const headers of [[], ["Range: bytes=0-"], ["Range: bytes=2000000-5000000"]]) {
        // Each time as if it were the first: a known damage is refused before the head.
        const { body, head } = yield* raw(`/api/files/${info.id}`, ...headers)
        if (headers.length > 0) {
          assert.match(head, /^HTTP\/1\.1 500 /)
          continue
        }
        assert.match(head, /^HTTP\/1\.1 200 /)
        assert.isFalse(body.includes("four"))
        const length = /content-length: (\d+)/i.exec(head)?.[1]
        if (length === undefined) assert.isFalse(body.subarray(-5).equals(Buffer.from("0\r\n\r\n")))
        else assert.isBelow(body.length, Number(length))
        assert.isAtMost(body.length, 3 * mebibyte + 1000)
      }
      const about = (yield* notices).filter((message) => message.includes(info.id))
      assert.strictEqual(about.length, 1)
      assert.include(about[0], String(3 * mebibyte))
      isDamaged((yield* askJson(`/api/files/${info.id}`)).body, info)
      assert.strictEqual((yield* ask(`/api/files/${info.id}`, { method: "HEAD" })).status, 500)
      // The rest of it is still good.
      const range = yield* ask(`/api/files/${info.id}`, { headers: { range: "bytes=0-99" } })
      assert.strictEqual(range.status, 206)
      assert.isTrue(content.subarray(0, 100).equals(range.bytes))
      overwrite(file, 3 * mebibyte, content.subarray(3 * mebibyte, 4 * mebibyte))
      const repaired = yield* ask(`/api/files/${info.id}`)
      assert.strictEqual(repaired.status, 200)
      assert.isTrue(content.equals(repaired.bytes))
    })
  )

  it.effect("is a problem and no body where the damage is in the first block, of a range, too", () =>
    Effect.gen(function* () {
      const { file, info } = yield* uploaded(randomBytes(2 * mebibyte))
      overwrite(file, 1_500_000, Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]))
      const range = yield* askJson(`/api/files/${info.id}`, { headers: { range: "bytes=2000000-2000009" } })
      assert.strictEqual(range.status, 500)
      isDamaged(range.body, info)
      overwrite(file, 0, Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]))
      const whole = yield* askJson(`/api/files/${info.id}`)
      assert.strictEqual(whole.status, 500)
      isDamaged(whole.body, info)
    })
  )

  for (const [what, size] of [
    ["shorter", 1000],
    ["empty", 0],
    ["longer", 400_000]
  ] as const) {
    it.effect(`is a problem where the file is ${what} than it was, whatever is asked for`, () =>
      Effect.gen(function* () {
        const { file, info } = yield* uploaded(randomBytes(300_000))
        truncateSync(file, size)
        for (const range of [undefined, "bytes=0-9", "bytes=200000-200009", "bytes=-5"]) {
          const { body, status } = yield* askJson(
            `/api/files/${info.id}`,
            range === undefined ? {} : { headers: { range } }
          )
          assert.strictEqual(status, 500, range)
          isDamaged(body, info)
        }
        assert.strictEqual((yield* ask(`/api/files/${info.id}`, { method: "HEAD" })).status, 500)
      })
    )
  }

  it.effect("that is gone is a problem, listed, and can be removed", () =>
    Effect.gen(function* () {
      const { file, info } = yield* uploaded(randomBytes(10))
      rmSync(file)
      isDamaged((yield* askJson(`/api/files/${info.id}`)).body, info)
      assert.strictEqual((yield* ask(`/api/files/${info.id}/metadata`)).status, 200)
      assert.strictEqual((yield* ask(`/api/files/${info.id}`, { method: "DELETE" })).status, 204)
      assert.strictEqual((yield* ask(`/api/files/${info.id}`)).status, 404)
    })
  )

  it.effect(
    "without checksums is compared with its digest before its last block, and has checksums after a good reading",
    () =>
      Effect.gen(function* () {
        const content = randomBytes(3 * mebibyte)
        const { file, info } = yield* uploaded(content)
        const record = readFileSync(`${file}.json`, "utf8")
        rmSync(`${file}.json`)
        overwrite(file, mebibyte, Buffer.from("four"))
        const damaged = yield* raw(`/api/files/${info.id}`)
        assert.isBelow(damaged.body.length, 2 * mebibyte + 1000)
        overwrite(file, mebibyte, content.subarray(mebibyte, mebibyte + 4))
        const { bytes, status } = yield* ask(`/api/files/${info.id}`)
        assert.strictEqual(status, 200)
        assert.isTrue(content.equals(bytes))
        assert.strictEqual(readFileSync(`${file}.json`, "utf8"), record)
        // A record that is damaged is none.
        writeFileSync(`${file}.json`, record.replace("AA", "BB").slice(0, -3))
        assert.strictEqual((yield* ask(`/api/files/${info.id}`)).status, 200)
      })
  )
})
