import { createHash, randomBytes } from "node:crypto"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { onDisk, temporaryFolder } from "./folders.ts"
import { program, upload } from "./program.ts"

describe("The files process", () => {
  it.live(
    "loses no acknowledged upload, and shows no half of one, when it is killed while it takes uploads",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const acknowledged = new Map<string, string>()
        for (const least of [5, 40, 80]) {
          yield* Effect.gen(function* () {
            const { address, child } = yield* program(folder)
            const send = async (): Promise<void> => {
              const contents = [randomBytes(200_000), randomBytes(3)]
              const { items } = await upload(address, contents)
              for (const [n, { id }] of items.entries()) {
                acknowledged.set(
                  id,
                  createHash("sha256")
                    .update(contents[n] ?? "")
                    .digest("hex")
                )
              }
              if (acknowledged.size >= least) child.kill("SIGKILL")
              return send()
            }
            const outcomes = yield* Effect.promise(() => Promise.allSettled([send(), send(), send(), send()]))
            assert.isTrue(outcomes.every((outcome) => outcome.status === "rejected"))
            assert.isAtLeast(acknowledged.size, least)
          }).pipe(Effect.scoped)
        }
        const { address } = yield* program(folder)
        const { items } = yield* Effect.promise(async () => (await fetch(`${address}/api/files?limit=1000`)).json())
        const shown = new Map<string, string>(
          items.map((item: { id: string; sha256: string }) => [item.id, item.sha256])
        )
        assert.deepStrictEqual(
          [...acknowledged].filter(([id, sha256]) => shown.get(id) !== sha256),
          []
        )
        for (const [id, sha256] of shown) {
          const bytes = yield* Effect.promise(async () => (await fetch(`${address}/api/files/${id}`)).arrayBuffer())
          assert.strictEqual(createHash("sha256").update(new Uint8Array(bytes)).digest("hex"), sha256)
        }
        assert.strictEqual(shown.size % 2, 0, "an upload of two files is there in half")
        assert.deepStrictEqual(onDisk(join(folder, "files")), { incoming: [], contents: [...shown.keys()].sort() })
      }).pipe(Effect.scoped),
    30_000
  )

  it.live("ends with the reason when another process has its folder", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* program(folder)
      const error = yield* Effect.flip(program(folder))
      assert.match(error.message, /ended with 1: .*is in use by another process/)
    }).pipe(Effect.scoped)
  )
})
