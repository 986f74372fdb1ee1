import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { commandLine } from "@opsbuddy/runtime/Process"
import { Effect } from "effect"
import { temporaryDirectory } from "./Program.ts"

/** Runs `opsbuddy check` over the real gateway, in this folder. */
const check = (folder: string, args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Effect.callback<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>((resume) => {
    const [program, ...first] = commandLine(fileURLToPath(new URL("../src/main.ts", import.meta.url)))
    const { FORCE_COLOR: _, NODE_OPTIONS: __, ...inherited } = process.env
    const child = spawn(program, [...first, "check", ...args], { cwd: folder, env: { ...inherited, ...env } })
    const output = { stdout: "", stderr: "" }
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].on("data", (bytes) => {
        output[stream] += bytes
      })
    }
    child.on("close", (code) => resume(Effect.succeed({ code, ...output })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Two programs start, one after the other. */
const timeout = 60_000

describe("opsbuddy check", () => {
  it.live(
    "counts what is in a file with what is built in",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryDirectory
        writeFileSync(
          join(folder, "mine.yaml"),
          "upstreams: { shop: { targets: [http://a:1] } }\nroutes: [{ path: /shop, upstream: shop }]\n"
        )
        assert.deepStrictEqual(yield* check(folder, ["mine.yaml"]), {
          code: 0,
          stdout: "ok: 5 upstreams, 5 routes\n",
          stderr: ""
        })
      }),
    timeout
  )

  it.live(
    "prints each mistake as file:line:column, and exits 1",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryDirectory
        writeFileSync(join(folder, "mine.yaml"), "routes:\n  - path: shop\n    upstream: shop\n")
        assert.deepStrictEqual(yield* check(folder, ["mine.yaml"]), {
          code: 1,
          stdout:
            "mine.yaml:2:11 routes[0].path: must start with /\n" +
            "mine.yaml:3:15 routes[0].upstream: is not the name of an upstream; those are files, utility, analytics, timeseries\n",
          stderr: "opsbuddy: mine.yaml is not valid\n"
        })
      }),
    timeout
  )

  it.live(
    "asks for a file, and for an environment that is valid",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryDirectory
        assert.strictEqual((yield* check(folder, [])).code, 64)
        const invalid = yield* check(folder, ["mine.yaml"], { OPSBUDDY_FILES_URL: "files" })
        assert.strictEqual(invalid.code, 78)
        assert.include(invalid.stderr, "OPSBUDDY_FILES_URL")
      }),
    timeout
  )
})
