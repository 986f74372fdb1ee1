import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { disk, empty, fill, noDisk } from "@opsbuddy/testing/Disk"
import { Effect } from "effect"
import { onDisk } from "./folders.ts"
import { program } from "./program.ts"

const send = (address: string, bytes: number) =>
  Effect.promise(async () => {
    const body = new FormData()
    body.append("file", new File([randomBytes(bytes)], "f"))
    const response = await fetch(`${address}/api/files/upload`, { method: "POST", body })
    return { status: response.status, body: await response.json() }
  })

const patch = (address: string, id: string, name: string) =>
  Effect.promise(async () => {
    const response = await fetch(`${address}/api/files/${id}/metadata`, {
      method: "PATCH",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name })
    })
    return { status: response.status, body: await response.json() }
  })

const get = (url: string) =>
  Effect.promise(async () => {
    const response = await fetch(url)
    return { status: response.status, body: await response.json() }
  })

const statusOf = (url: string, method = "GET") => Effect.promise(async () => (await fetch(url, { method })).status)

describe.skipIf(noDisk !== undefined)(
  `The files process on a full disk${noDisk === undefined ? "" : `: ${noDisk}`}`,
  () => {
    it.live(
      "refuses uploads with the reason, still reads and removes, and takes writes again when there is room",
      () =>
        Effect.gen(function* () {
          const folder = yield* disk(14)
          const directory = join(folder, "files")
          yield* Effect.gen(function* () {
            const { address, log } = yield* program(folder)
            const ids: Array<string> = []
            for (let n = 0; n < 20; n++) ids.push((yield* send(address, 100_000)).body.items[0].id)
            assert.strictEqual((yield* get(`${address}/health`)).body.status, "healthy")
            yield* fill(folder)
            const before = onDisk(directory)

            for (let n = 0; n < 5; n++) {
              const { body, status } = yield* send(address, 50_000)
              assert.strictEqual(status, 507)
              assert.deepInclude(body, { type: "urn:opsbuddy:problem:insufficient-storage" })
              assert.include(body.detail, directory)
            }
            assert.deepStrictEqual(onDisk(directory), before)
            const changed = yield* patch(address, ids[0] ?? "", "changed")
            assert.strictEqual(changed.status, 507, JSON.stringify(changed.body))
            const health = yield* get(`${address}/health`)
            assert.deepInclude(health.body, { status: "degraded" })
            assert.include(health.body.reasons.join(), directory)
            assert.strictEqual((yield* get(`${address}/api/files`)).body.items.length, 20)
            assert.strictEqual(yield* statusOf(`${address}/api/files/${ids[0]}`), 200)

            for (const id of ids.slice(10)) {
              yield* fill(folder)
              assert.strictEqual(yield* statusOf(`${address}/api/files/${id}`, "DELETE"), 204)
            }
            assert.strictEqual((yield* get(`${address}/api/files`)).body.items.length, 10)
            assert.strictEqual(onDisk(directory).contents.length, 10)

            yield* empty(folder)
            assert.strictEqual((yield* send(address, 50_000)).status, 201)
            assert.strictEqual((yield* get(`${address}/health`)).body.status, "healthy")
            assert.strictEqual((yield* patch(address, ids[0] ?? "", "changed")).body.name, "changed")
            const count = (message: string) => log.filter((line) => line.message === message).length
            assert.strictEqual(count("store takes writes again"), 1)
            assert.strictEqual(count("store refuses writes"), 1)
            assert.strictEqual(log.filter(({ level }) => level === "error").length, count("store refuses writes"))
          }).pipe(Effect.scoped)

          yield* fill(folder)
          const { address } = yield* program(folder)
          const { body } = yield* get(`${address}/api/files`)
          assert.strictEqual(body.items.length, 11)
          assert.strictEqual(yield* statusOf(`${address}/api/files/${body.items[0].id}`), 200)
          assert.strictEqual(yield* statusOf(`${address}/api/files/${body.items[0].id}`, "DELETE"), 204)
        }).pipe(Effect.scoped),
      60_000
    )
  }
)
