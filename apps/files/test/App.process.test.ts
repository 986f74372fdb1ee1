import { spawn } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { onDisk, temporaryFolder } from "./folders.ts"

/** The program as a user starts it, on a free port; killed with the scope. */
const program = Effect.fnUntraced(function* (dataDirectory: string) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [fileURLToPath(new URL("../src/main.ts", import.meta.url))], {
        env: {
          ...process.env,
          OPSBUDDY_DATA_DIRECTORY: dataDirectory,
          OPSBUDDY_LOG_FORMAT: "json",
          // Nothing listens at the discard port.
          OPSBUDDY_TIMESERIES_URL: "http://127.0.0.1:9",
          SERVICE_PORT: "0"
        },
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const exited = once(child, "exit")
        child.kill("SIGKILL")
        await exited
      })
  )
  const address = yield* Effect.callback<string, Error>((resume) => {
    child.once("exit", (code) => resume(Effect.fail(new Error(`files ended with ${code}`))))
    createInterface({ input: child.stdout }).on("line", (text) => {
      const { data, message } = JSON.parse(text)
      if (message === "listening") resume(Effect.succeed(data.url))
    })
  })
  return { address, child }
})

const upload = async (address: string, contents: ReadonlyArray<Uint8Array<ArrayBuffer>>) => {
  const body = new FormData()
  for (const content of contents) body.append("file", new File([content], "f"))
  const response = await fetch(`${address}/api/files/upload`, { method: "POST", body })
  if (response.status !== 201) throw new Error(`answered ${response.status}`)
  // Only this test reads it.
  return (await response.json()) as { readonly items: ReadonlyArray<{ readonly id: string; readonly sha256: string }> }
}

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
      assert.strictEqual(error.message, "files ended with 1")
    }).pipe(Effect.scoped)
  )
})
