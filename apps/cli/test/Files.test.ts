import { spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { commandLine } from "@opsbuddy/runtime/Process"
import { Effect } from "effect"
import { temporaryDirectory } from "./Program.ts"

/** Runs `opsbuddy files reindex` over the real service. */
const reindex = (args: ReadonlyArray<string>) =>
  Effect.callback<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>((resume) => {
    const [program, ...first] = commandLine(fileURLToPath(new URL("../src/main.ts", import.meta.url)))
    const { FORCE_COLOR: _, NODE_OPTIONS: __, ...env } = process.env
    const child = spawn(program, [...first, "files", "reindex", ...args], { env })
    const output = { stdout: "", stderr: "" }
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].on("data", (bytes) => {
        output[stream] += bytes
      })
    }
    child.on("close", (code) => resume(Effect.succeed({ code, ...output })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Several programs start, one after the other. */
const timeout = 60_000

describe("opsbuddy files reindex", () => {
  it.live(
    "says what it did, and refuses a folder that is in use or missing",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryDirectory
        const missing = yield* reindex(["--data", folder])
        assert.strictEqual(missing.code, 1)
        assert.include(missing.stderr, `${join(folder, "files")} does not exist`)

        const id = "01900000-0000-7000-8000-0000000000ab"
        mkdirSync(join(folder, "files", "lost+found"), { recursive: true })
        writeFileSync(join(folder, "files", "lost+found", id), "without a record")
        const done = yield* reindex(["--data", folder])
        assert.strictEqual(done.code, 0, done.stderr)
        assert.include(done.stdout, `reindexed ${join(folder, "files")}: 0 files`)
        assert.include(done.stdout, "1 left there without a record")

        const lock = new DatabaseSync(join(folder, "files", "lock"))
        lock.exec("BEGIN EXCLUSIVE")
        const inUse = yield* reindex(["--data", folder])
        lock.close()
        assert.strictEqual(inUse.code, 1)
        assert.include(inUse.stderr, "is in use by another process")
      }).pipe(Effect.scoped),
    timeout
  )
})
