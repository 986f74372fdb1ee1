import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { program } from "./program.ts"
import { ask } from "./server.ts"
import { temporaryFolder } from "./stores.ts"

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
