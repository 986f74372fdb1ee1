import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { open, temporaryFile } from "./store.ts"

/** A process that writes to `filename`; killed with the scope. `acknowledged` grows while it runs. */
const writerProcess = (filename: string, first: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        [fileURLToPath(new URL("writer.child.ts", import.meta.url)), filename, String(first)],
        {
          stdio: ["ignore", "pipe", "inherit"]
        }
      )
      const acknowledged: Array<number> = []
      const lines = createInterface({ input: child.stdout })
      lines.on("line", (line) => acknowledged.push(Number(line)))
      const exited = once(lines, "close")
      return { child, acknowledged, lines, exited }
    }),
    ({ child, exited }) =>
      Effect.promise(() => {
        child.kill("SIGKILL")
        return exited
      })
  )

const acknowledgedAtLeast = (writer: Effect.Success<ReturnType<typeof writerProcess>>, least: number) =>
  Effect.callback<void>((resume) => {
    const check = () => {
      if (writer.acknowledged.length >= least) resume(Effect.void)
    }
    check()
    writer.lines.on("line", check)
    return Effect.sync(() => writer.lines.off("line", check))
  })

describe("Columnar between processes", () => {
  it.live("is refused to a second process, with the file and its owner", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const writer = yield* writerProcess(filename, 0)
      yield* acknowledgedAtLeast(writer, 1)
      const error = yield* Effect.flip(Effect.scoped(open(filename)))
      assert.strictEqual(error.reason, "locked")
      assert.strictEqual(error.filename, filename)
      assert.strictEqual(error.pid, writer.child.pid)
      assert.strictEqual(error.message, `the database ${filename} is in use by process ${writer.child.pid}`)
    }).pipe(Effect.scoped)
  )

  it.live("is refused to a second user in the same process", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      yield* open(filename)
      const error = yield* Effect.flip(Effect.scoped(open(filename)))
      assert.strictEqual(error.reason, "locked")
      assert.strictEqual(error.pid, process.pid)
    }).pipe(Effect.scoped)
  )

  it.live(
    "loses no acknowledged row when its process is killed",
    () =>
      Effect.gen(function* () {
        const filename = yield* temporaryFile
        const all: Array<number> = []
        for (const least of [1, 500, 1500]) {
          const writer = yield* Effect.scoped(
            Effect.tap(writerProcess(filename, all.length === 0 ? 0 : Math.max(...all) + 1000), (writer) =>
              acknowledgedAtLeast(writer, least)
            )
          )
          all.push(...writer.acknowledged)
          const rows = yield* Effect.scoped(
            Effect.flatMap(open(filename), (store) => store.query<{ readonly id: bigint }>("SELECT id FROM points"))
          )
          const stored = new Set(rows.map((row) => Number(row.id)))
          assert.deepStrictEqual(
            all.filter((id) => !stored.has(id)),
            []
          )
        }
        assert.isAbove(all.length, 2000)
      }).pipe(Effect.scoped),
    60_000
  )
})
