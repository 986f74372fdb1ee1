import { once } from "node:events"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { program } from "./program.ts"
import { ask } from "./server.ts"
import { temporaryFolder } from "./stores.ts"

const kills = 20
const batchSize = 20

const post = async (address: string, path: string, type: string, body: string) => {
  const response = await fetch(`${address}/api/analytics/${path}`, {
    method: "POST",
    body,
    headers: { "content-type": type }
  })
  if (response.status !== 200) throw new Error(`got ${response.status}`)
}

const logsOf = (batch: number) =>
  JSON.stringify(
    Array.from({ length: batchSize }, (_, index) => ({
      level: "info",
      service: "kill",
      message: `${batch}.${index}`,
      data: { batch, index }
    }))
  )

const start = Date.parse("2026-01-01T00:00:00Z")

const recordsOf = (batch: number) =>
  JSON.stringify(
    Array.from({ length: batchSize }, (_, index) => ({
      requestId: `kill-${batch}-${index}`,
      timestamp: new Date(start + batch).toISOString(),
      method: "GET",
      path: "/",
      route: `batch ${batch}`,
      service: "kill",
      status: 200,
      durationMillis: 1
    }))
  )

describe("The analytics process under kills", () => {
  it.live(
    `loses and doubles nothing that it acknowledged in ${kills} kills, while refused records are sent again`,
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const logs = new Set<number>()
        const records = new Set<number>()
        /** Sent, and not acknowledged: gateways send them again. */
        let unsure: Array<number> = []
        let next = 0
        for (let round = 0; round < kills; round++) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { address, child } = yield* program(folder)
              const again = unsure
              unsure = []
              let acknowledged = 0
              const count = () => {
                if (++acknowledged === 10 + round * 2) child.kill("SIGKILL")
              }
              const sendLogs = async (): Promise<void> => {
                const batch = next++
                await post(address, "logs", "application/json", logsOf(batch))
                logs.add(batch)
                count()
                return sendLogs()
              }
              const sendRecords = async (): Promise<void> => {
                const batch = again.pop() ?? next++
                try {
                  await post(address, "requests", "application/json", recordsOf(batch))
                } catch (error) {
                  unsure.push(batch)
                  throw error
                }
                records.add(batch)
                count()
                return sendRecords()
              }
              const exited = once(child, "exit")
              yield* Effect.promise(() => Promise.allSettled([sendLogs(), sendRecords(), sendLogs(), sendRecords()]))
              yield* Effect.promise(() => exited)
              unsure.push(...again)
            })
          )
        }
        const { address } = yield* program(folder)
        const found = new Map<number, Set<string>>()
        let entries = 0
        let cursor = ""
        for (;;) {
          const { body } = yield* ask(address, `/api/analytics/logs?limit=1000&service=kill${cursor}`)
          for (const { message } of body.items ?? []) {
            const [batch = ""] = String(message).split(".")
            found.set(Number(batch), (found.get(Number(batch)) ?? new Set()).add(String(message)))
            entries++
          }
          if (body.nextCursor === undefined) break
          cursor = `&cursor=${body.nextCursor}`
        }
        assert.strictEqual(entries, found.size * batchSize)
        assert.isTrue([...found.values()].every((messages) => messages.size === batchSize))
        assert.deepStrictEqual(
          [...logs].filter((batch) => !found.has(batch)),
          []
        )

        yield* Effect.promise(async () => {
          for (const batch of unsure) {
            await post(address, "requests", "application/json", recordsOf(batch))
            records.add(batch)
          }
        })
        const { body } = yield* ask(address, "/api/analytics/metrics?from=2026-01-01T00:00:00Z")
        const counts = new Map(body.items?.map(({ requests, route }) => [route, requests]))
        assert.deepStrictEqual(
          [...records].filter((batch) => counts.get(`batch ${batch}`) !== batchSize),
          []
        )
        assert.strictEqual(counts.size, records.size)
        yield* Effect.logInfo("kills", { kills, logs: logs.size * batchSize, records: records.size * batchSize })
      }).pipe(Effect.scoped),
    120_000
  )
})
