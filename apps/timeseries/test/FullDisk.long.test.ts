import { assert, describe, it } from "@effect/vitest"
import { disk, empty, fill, noDisk } from "@opsbuddy/testing/Disk"
import { Effect, Schedule } from "effect"
import { query, send, start, write } from "./process.ts"

describe("The timeseries process on a full disk", () => {
  it.live.skipIf(noDisk !== undefined)(
    `refuses writes with the reason, reads on, and goes on by itself when there is room${noDisk === undefined ? "" : `: ${noDisk}`}`,
    () =>
      Effect.gen(function* () {
        const folder = yield* disk(24)
        const stored: Array<number> = []
        let next = 0
        const writeNext = (address: string) => {
          const n = next++
          return Effect.promise(async () => {
            const response = await write(address, `m,host=h${n % 5} v=${n},s="${"x".repeat(200)}" ${n}`)
            if (response.status === 200) stored.push(n)
            return response
          })
        }
        const health = (address: string) => Effect.promise(() => send(`${address}/health`))
        const check = (address: string) =>
          Effect.map(
            Effect.promise(() =>
              query(address, { measurement: "m", select: [{ field: "v" }], from: "0", to: "1000000" })
            ),
            ({ body, status }) => {
              assert.strictEqual(status, 200)
              const values: Array<number> = body.series.flatMap(({ rows }: { rows: Array<[string, number]> }) =>
                rows.map(([, value]) => value)
              )
              assert.deepStrictEqual(
                values.sort((a, b) => a - b),
                stored
              )
            }
          )
        yield* Effect.gen(function* () {
          const service = yield* start(folder)
          for (let n = 0; n < 20; n++) assert.strictEqual((yield* writeNext(service.address)).status, 200)
          for (const round of [1, 2]) {
            yield* fill(folder)
            const refused = []
            for (let n = 0; n < 30; n++) {
              const response = yield* writeNext(service.address)
              if (response.status !== 200) refused.push(response)
            }
            assert.isAbove(refused.length, 0)
            for (const { body, status } of refused) {
              assert.strictEqual(status, 507, JSON.stringify(body))
              assert.strictEqual(body.type, "urn:opsbuddy:problem:insufficient-storage")
              assert.match(body.detail, /full|no space/i)
            }
            const { body } = yield* health(service.address)
            assert.deepInclude(body, { status: "degraded", database: "degraded" })
            assert.match(body.reasons.join(), /full|no space/i)
            yield* check(service.address)
            yield* empty(folder)
            // Nobody writes: it finds out by itself.
            yield* Effect.filterOrFail(health(service.address), ({ body }) => body.status === "healthy").pipe(
              Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: "20 seconds" })))
            )
            assert.strictEqual((yield* writeNext(service.address)).status, 200)
            yield* check(service.address)
            const logged = (message: string) => service.log.filter((line) => line.message === message).length
            assert.deepStrictEqual([logged("store refuses writes"), logged("store takes writes again")], [round, round])
          }
          yield* fill(folder)
          yield* writeNext(service.address)
          yield* service.kill
        }).pipe(Effect.scoped)
        const service = yield* start(folder)
        yield* check(service.address)
        yield* empty(folder)
        yield* Effect.filterOrFail(writeNext(service.address), ({ status }) => status === 200).pipe(
          Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: "20 seconds" })))
        )
        yield* check(service.address)
      }).pipe(Effect.scoped)
  )
})
