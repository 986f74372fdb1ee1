import { createHash, randomBytes, randomInt } from "node:crypto"
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { onDisk, temporaryFolder } from "./folders.ts"
import { program, reindex, upload } from "./program.ts"

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

interface Shown {
  readonly id: string
  readonly sha256: string
  readonly revision: number
}

const listed = async (address: string) => {
  const shown: Array<Shown> = []
  let cursor = ""
  do {
    const page = await (await fetch(`${address}/api/files?limit=1000${cursor}`)).json()
    shown.push(...page.items)
    cursor = page.nextCursor === undefined ? "" : `&cursor=${page.nextCursor}`
  } while (cursor !== "")
  return shown
}

describe("The files process, killed 25 times under load", () => {
  it.live(
    "keeps every acknowledged upload, change and removal, also when its index is lost at the end",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        /** By id, what was acknowledged; a removal may have been asked for without a response. */
        const uploads = new Map<string, string>()
        const revisions = new Map<string, number>()
        const removed = new Set<string>()
        const maybeRemoved = new Set<string>()
        let acknowledged = 0

        const client = (address: string, kill: () => void) => async (): Promise<void> => {
          for (;;) {
            const contents = [randomBytes(randomInt(200_000)), randomBytes(3)]
            const { items } = await upload(address, contents)
            for (const [n, { id }] of items.entries()) uploads.set(id, digest(contents[n] ?? new Uint8Array()))
            acknowledged++
            const [one, other] = items
            if (one === undefined || other === undefined) throw new Error("not both were stored")
            const patched = await fetch(`${address}/api/files/${one.id}/metadata`, {
              method: "PATCH",
              headers: { "content-type": "application/json" },
              body: '{"tags":{"a":"b"}}'
            })
            revisions.set(one.id, (await patched.json()).revision)
            acknowledged++
            if (randomInt(4) === 0) {
              maybeRemoved.add(one.id)
              maybeRemoved.add(other.id)
              await fetch(`${address}/api/files/${one.id}`, { method: "DELETE" })
              removed.add(one.id)
              await fetch(`${address}/api/files/${other.id}`, { method: "DELETE" })
              removed.add(other.id)
              acknowledged += 2
            }
            kill()
          }
        }

        for (let round = 0; round < 25; round++) {
          yield* Effect.gen(function* () {
            const { address, child } = yield* program(folder)
            const until = acknowledged + randomInt(5, 60)
            const kill = () => {
              if (acknowledged >= until) child.kill("SIGKILL")
            }
            const clients = Array.from({ length: 4 }, () => client(address, kill)())
            const outcomes = yield* Effect.promise(() => Promise.allSettled(clients))
            assert.isTrue(outcomes.every(({ status }) => status === "rejected"))
          }).pipe(Effect.scoped)
        }

        const verify = Effect.gen(function* () {
          const { address } = yield* program(folder)
          const shown = new Map((yield* Effect.promise(() => listed(address))).map((info) => [info.id, info]))
          const kept = [...uploads].filter(([id]) => !maybeRemoved.has(id))
          const lost = kept.filter(([id, sha256]) => shown.get(id)?.sha256 !== sha256)
          assert.deepStrictEqual(lost, [], "acknowledged uploads are lost")
          for (const id of removed) assert.isFalse(shown.has(id), "a removed file is back")
          for (const [id, revision] of revisions) {
            if (shown.has(id)) assert.isAtLeast(shown.get(id)?.revision ?? 0, revision, "a change is lost")
          }
          for (const { id, sha256 } of shown.values()) {
            const bytes = yield* Effect.promise(async () => (await fetch(`${address}/api/files/${id}`)).arrayBuffer())
            assert.strictEqual(digest(new Uint8Array(bytes)), sha256)
          }
          const unsure = [...shown.keys()].filter((id) => !maybeRemoved.has(id))
          assert.strictEqual(unsure.length % 2, 0, "an upload of two files is there in half")
          assert.deepStrictEqual(onDisk(join(folder, "files")), { incoming: [], contents: [...shown.keys()].sort() })
          return shown.size
        }).pipe(Effect.scoped)

        const files = yield* verify
        const directory = join(folder, "files")
        assert.isFalse(readdirSync(directory).includes("lost+found"))
        for (const name of readdirSync(directory)) if (name.startsWith("index.db")) rmSync(join(directory, name))
        yield* Effect.scoped(program(folder))
        assert.strictEqual(yield* reindex(folder), 0)
        assert.strictEqual(yield* verify, files)
        assert.isAtLeast(acknowledged, 200)
      }).pipe(Effect.scoped),
    110_000
  )
})
