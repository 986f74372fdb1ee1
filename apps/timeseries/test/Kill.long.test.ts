import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { query, start, write } from "./process.ts"
import { temporaryFolder } from "./stores.ts"

const kills = 20
const clients = 8

/** What batch `n` of a client writes: points of several layouts, and one that is overwritten in each batch. */
const batch = (client: number, n: number) =>
  [
    `wide,client=${client} ${[0, 1, 2, 3, 4, 5].map((f) => `f${f}=${n + f}`).join()} ${n}`,
    `small_${client}_${n % 40} v=${n}i ${n}`,
    `shared,client=${client} v=${n / 8},s="${n}" ${n}`,
    `latest,client=${client} n=${n}i 1`
  ].join("\n")

it.live("loses no acknowledged point and keeps no part of a batch, whenever it is killed", () =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const acknowledged = Array.from({ length: clients }, () => new Set<number>())
    const next = Array.from({ length: clients }, () => 1)
    for (let kill = 0; kill < kills; kill++) {
      yield* Effect.gen(function* () {
        const service = yield* start(folder)
        let isKilled = false
        const run = async (client: number) => {
          while (!isKilled) {
            const n = next[client] ?? 1
            next[client] = n + 1
            const response = await write(service.address, batch(client, n)).catch(() => undefined)
            if (response === undefined) return
            assert.deepStrictEqual([response.status, response.body], [200, { points: 4 }])
            acknowledged[client]?.add(n)
          }
        }
        const writing = Promise.all(acknowledged.map((_, client) => run(client)))
        // Later each time, so that it meets the moments of a start as well as those of a long run.
        yield* Effect.sleep(50 + kill * 60)
        yield* service.kill
        isKilled = true
        yield* Effect.promise(() => writing)
      }).pipe(Effect.scoped)
    }
    const service = yield* start(folder)
    const ask = (body: object) =>
      Effect.promise(() => query(service.address, { from: "0", to: "1000000000", ...body })).pipe(
        Effect.map(({ body, status }) => {
          assert.strictEqual(status, 200)
          return body.series
        })
      )
    const nanoseconds = (time: string) => Number(time.slice(20, -1).padEnd(9, "0"))
    const timesOf = (client: number, measurement: string, field: string) =>
      Effect.map(
        ask({
          measurement,
          select: [{ field }],
          ...(measurement.startsWith("small") ? {} : { where: { client: String(client) } })
        }),
        (series) => new Set<number>((series[0]?.rows ?? []).map(([time]: [string]) => nanoseconds(time)))
      )
    let total = 0
    for (const [client, numbers] of acknowledged.entries()) {
      const wide = yield* timesOf(client, "wide", "f5")
      for (const n of numbers) assert.isTrue(wide.has(n), `client ${client}, batch ${n}`)
      assert.deepStrictEqual(yield* timesOf(client, "wide", "f0"), wide)
      for (const field of ["v", "s"]) assert.deepStrictEqual(yield* timesOf(client, "shared", field), wide)
      const small = new Set<number>()
      for (let m = 0; m < 40; m++) for (const n of yield* timesOf(client, `small_${client}_${m}`, "v")) small.add(n)
      assert.deepStrictEqual(
        [...small].sort((a, b) => a - b),
        [...wide].sort((a, b) => a - b)
      )
      const [latest] = yield* ask({
        measurement: "latest",
        select: [{ field: "n" }],
        where: { client: String(client) }
      })
      assert.strictEqual(latest.rows[0][1], Math.max(...wide))
      total += numbers.size
    }
    const status = yield* Effect.promise(() => fetch(`${service.address}/status`).then((response) => response.json()))
    assert.isUndefined(status.notices)
    yield* Effect.logInfo(`${kills} kills, ${total} acknowledged batches, none lost`)
  }).pipe(Effect.scoped)
)
