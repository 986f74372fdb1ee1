import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask } from "./server.ts"
import { temporaryFolder } from "./stores.ts"

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
    child.once("exit", (code) => resume(Effect.fail(new Error(`analytics ended with ${code}`))))
    createInterface({ input: child.stdout }).on("line", (text) => {
      const { data, message } = JSON.parse(text)
      if (message === "listening") resume(Effect.succeed(data.url))
    })
  })
  return { address, child }
})

const batchSize = 20
const batch = (number: number) =>
  Array.from({ length: batchSize }, (_, index) =>
    JSON.stringify({ level: "info", service: "kill", message: `${number}.${index}` })
  ).join("\n")

describe("The analytics process", () => {
  it.live(
    "loses no acknowledged entry, and keeps no part of a batch, when it is killed while it takes logs",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const acknowledged = new Set<number>()
        let next = 0
        for (const least of [30, 100]) {
          const { address, child } = yield* program(folder)
          const send = async (): Promise<void> => {
            const number = next++
            const response = await fetch(`${address}/api/analytics/logs`, {
              method: "POST",
              body: batch(number),
              headers: { "content-type": "application/x-ndjson" }
            })
            if (response.status !== 200) throw new Error(`answered ${response.status}`)
            acknowledged.add(number)
            if (acknowledged.size >= least) child.kill("SIGKILL")
            return send()
          }
          const outcomes = yield* Effect.promise(() => Promise.allSettled([send(), send(), send(), send()]))
          assert.isTrue(outcomes.every((outcome) => outcome.status === "rejected"))
          assert.isAtLeast(acknowledged.size, least)
        }
        const { address } = yield* program(folder)
        const found = new Map<number, number>()
        let cursor = ""
        for (;;) {
          const { body } = yield* ask(address, `/api/analytics/logs?limit=1000&service=kill${cursor}`)
          for (const item of body.items ?? []) {
            const number = Number(String(item.message).split(".")[0])
            found.set(number, (found.get(number) ?? 0) + 1)
          }
          if (body.nextCursor === undefined) break
          cursor = `&cursor=${body.nextCursor}`
        }
        assert.deepStrictEqual(
          [...acknowledged].filter((number) => !found.has(number)),
          []
        )
        assert.deepStrictEqual(
          [...found].filter(([, entries]) => entries !== batchSize),
          []
        )
      }).pipe(Effect.scoped),
    30_000
  )
})
