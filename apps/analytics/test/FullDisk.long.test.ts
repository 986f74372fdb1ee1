import { randomBytes } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { disk, empty, fill, noDisk } from "@opsbuddy/testing/Disk"
import { Effect, Schedule } from "effect"
import { program } from "./program.ts"
import { ask } from "./server.ts"

const batchSize = 50

/** Text that does not get smaller when it is compressed. */
const logsOf = (batch: number) =>
  Array.from({ length: batchSize }, (_, index) => ({
    level: "info",
    service: "full",
    message: `${batch}.${index} ${randomBytes(2000).toString("base64")}`
  }))

const recordsOf = (batch: number) =>
  Array.from({ length: batchSize }, (_, index) => ({
    requestId: `full-${batch}-${index}`,
    timestamp: new Date(Date.UTC(2026, 0, 1) + batch).toISOString(),
    method: "GET",
    path: "/",
    route: `batch ${batch}`,
    service: "full",
    status: 200,
    durationMillis: 1
  }))

const post = (address: string, path: string, body: unknown) =>
  ask(address, `/api/analytics/${path}`, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" }
  })

/** The numbers of the batches of logs that are stored; fails where one is there in part or twice. */
const storedLogs = Effect.fnUntraced(function* (address: string) {
  const found = new Map<number, number>()
  let cursor = ""
  for (;;) {
    const { body, status } = yield* ask(address, `/api/analytics/logs?limit=1000&service=full${cursor}`)
    assert.strictEqual(status, 200)
    for (const { message } of body.items ?? []) {
      const batch = Number(String(message).split(".")[0])
      found.set(batch, (found.get(batch) ?? 0) + 1)
    }
    if (body.nextCursor === undefined) break
    cursor = `&cursor=${body.nextCursor}`
  }
  assert.isTrue([...found.values()].every((count) => count === batchSize))
  return [...found.keys()].sort((a, b) => a - b)
})

/** The same of request records. */
const storedRecords = Effect.fnUntraced(function* (address: string) {
  const { body, status } = yield* ask(address, "/api/analytics/metrics?from=2026-01-01T00:00:00Z")
  assert.strictEqual(status, 200)
  assert.isTrue((body.items ?? []).every(({ requests }) => requests === batchSize))
  return (body.items ?? []).map(({ route }) => Number(String(route).split(" ")[1])).sort((a, b) => a - b)
})

const healthy = (address: string) =>
  ask(address, "/health").pipe(
    Effect.flatMap(({ body }) => (body.status === "healthy" ? Effect.void : Effect.fail("not healthy yet"))),
    Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 300 })
  )

/** A line of the log may come after the response. */
const until = (holds: () => boolean) =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.fail("it does not hold yet"))).pipe(
    Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 500 })
  )

describe.skipIf(noDisk !== undefined)(
  `The analytics process on a full disk${noDisk ? ` (skipped: ${noDisk})` : ""}`,
  () => {
    it.live(
      "refuses with 507 and says so, reads on, takes writes again by itself, and stores just what it acknowledged",
      () =>
        Effect.gen(function* () {
          const folder = yield* disk(64)
          const logs: Array<number> = []
          const records: Array<number> = []
          const refusedRecords: Array<number> = []
          let next = 0
          for (const outage of [1, 2]) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const { address, child, log } = yield* program(folder)
                const count = (message: string) => log.filter((line) => line.message === message).length
                let refused = 0
                const write = Effect.gen(function* () {
                  const batch = next++
                  const ofLogs = yield* post(address, "logs", logsOf(batch))
                  if (ofLogs.status === 200) logs.push(batch)
                  const ofRecords = yield* post(address, "requests", recordsOf(batch))
                  if (ofRecords.status === 200) records.push(batch)
                  else refusedRecords.push(batch)
                  for (const { body, status } of [ofLogs, ofRecords]) {
                    if (status === 200) continue
                    refused++
                    assert.strictEqual(status, 507)
                    assert.include(body.detail, "full")
                  }
                })
                yield* write
                assert.strictEqual(refused, 0)
                yield* fill(folder)
                for (let tries = 0; refused < 20; tries++) {
                  assert.isBelow(tries, 500)
                  yield* write
                }
                const { body, status } = yield* ask(address, "/health")
                assert.strictEqual(status, 200)
                assert.strictEqual(body.status, "degraded")
                assert.include(JSON.stringify(body.reasons), "full")
                assert.deepStrictEqual(yield* storedLogs(address), logs)
                assert.deepStrictEqual(yield* storedRecords(address), records)
                assert.strictEqual(count("store refuses writes"), 1)
                assert.strictEqual(count("store takes writes again"), 0)

                yield* empty(folder)
                yield* healthy(address)
                yield* until(() => count("store takes writes again") > 0)
                for (const batch of refusedRecords.splice(0)) {
                  for (const _ of ["sent again", "sent twice"]) {
                    assert.strictEqual((yield* post(address, "requests", recordsOf(batch))).status, 200)
                  }
                  records.push(batch)
                }
                records.sort((a, b) => a - b)
                const before = refused
                for (let more = 0; more < 20; more++) yield* write
                assert.strictEqual(refused, before)
                assert.deepStrictEqual(yield* storedLogs(address), logs)
                assert.deepStrictEqual(yield* storedRecords(address), records)
                assert.strictEqual(count("store refuses writes"), 1)
                assert.strictEqual(count("store takes writes again"), 1)
                yield* Effect.logInfo("outage", { outage, refused, logs: logs.length, records: records.length })
                child.kill("SIGKILL")
              })
            )
          }
          const { address } = yield* program(folder)
          assert.deepStrictEqual(yield* storedLogs(address), logs)
          assert.deepStrictEqual(yield* storedRecords(address), records)
        }).pipe(Effect.scoped),
      120_000
    )
  }
)
