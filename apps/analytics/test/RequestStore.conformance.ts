import { assert, layer } from "@effect/vitest"
import { RequestId } from "@opsbuddy/contract/Problems"
import { Effect, type Layer, Schema } from "effect"
import { RequestStore } from "../src/RequestStore.ts"
import { record, time } from "./stores.ts"

const Records = Schema.Array(
  Schema.Struct({
    millis: Schema.Int.check(Schema.isBetween({ minimum: -3, maximum: 12 })),
    service: Schema.Literals(["shop", "Shop", "größe"]),
    route: Schema.Literals(["a", "b", "Z"]),
    status: Schema.Literals([200, 404, 499, 500, 503]),
    durationMillis: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 60_000 }))
  })
).check(Schema.isMaxLength(60))

/** The percentile as `RequestStore` defines it. */
const percentile = (durations: ReadonlyArray<number>, p: number) => {
  const sorted = durations.toSorted((a, b) => a - b)
  const index = p * (sorted.length - 1)
  const below = sorted[Math.floor(index)] ?? Number.NaN
  const above = sorted[Math.ceil(index)] ?? Number.NaN
  return below + (above - below) * (index - Math.floor(index))
}

/** What every `RequestStore` must do. */
export const conformance = <E>(name: string, store: Layer.Layer<RequestStore, E>) =>
  layer(store)(`RequestStore over ${name}`, (it) => {
    let run = 0
    /** A day of its own for each run, so that one does not see the other's records. */
    const nextDay = () => ++run * 86_400_000

    it.effect("gives a record back as it came, with every member or only the required ones", () =>
      Effect.gen(function* () {
        const requests = yield* RequestStore
        const full = record({
          id: "full-1",
          timestamp: time(nextDay() + 1),
          target: "http://10.0.0.3:9000",
          status: 504,
          cause: "upstream-timeout",
          requestBytes: 0,
          responseBytes: Number.MAX_SAFE_INTEGER,
          durationMillis: 1.25,
          upstreamMillis: 0.1,
          client: "::1",
          traceId: "t"
        })
        const bare = record({ id: "bare-1", timestamp: time(nextDay()) })
        yield* requests.append([full, bare])
        assert.deepStrictEqual(yield* requests.newest(full.requestId), full)
        assert.deepStrictEqual(yield* requests.newest(bare.requestId), bare)
        assert.isUndefined(yield* requests.newest(RequestId.make("nobody")))
      })
    )

    it.effect("finds the newest of the records that share an id, whatever came last", () =>
      Effect.gen(function* () {
        const requests = yield* RequestStore
        const day = nextDay()
        for (const offset of [1, 3, 2]) {
          yield* requests.append([record({ id: "again", timestamp: time(day + offset), status: 200 + offset })])
        }
        assert.strictEqual((yield* requests.newest(RequestId.make("again")))?.status, 203)
      })
    )

    it.effect("stores a record once, however often it is sent: again, in one batch, at the same moment", () =>
      Effect.gen(function* () {
        const requests = yield* RequestStore
        const day = nextDay()
        const batch = Array.from({ length: 50 }, (_, index) =>
          record({ id: `r${index}`, timestamp: time(day + index) })
        )
        yield* Effect.all([requests.append(batch), requests.append([...batch, ...batch]), requests.append(batch)], {
          concurrency: "unbounded"
        })
        const other = record({ id: "r0", timestamp: time(day + 1) })
        yield* requests.append([...batch.slice(0, 10), other])
        const { items } = yield* requests.metrics({ from: time(day), to: time(day + 1000) }, 10)
        assert.strictEqual(items[0]?.requests, 51)
      })
    )

    it.effect("gives the routes with the most requests where there are more than asked for", () =>
      Effect.gen(function* () {
        const requests = yield* RequestStore
        const day = nextDay()
        const routes = ["a", "b", "b", "c", "d", "d", "d"]
        yield* requests.append(
          routes.map((route, index) => record({ id: `most-${day}-${index}`, route, timestamp: time(day) }))
        )
        const range = { from: time(day), to: time(day + 1) }
        const { items, more } = yield* requests.metrics(range, 3)
        assert.deepStrictEqual(
          items.map(({ requests, route }) => [route, requests]),
          [
            ["a", 1],
            ["b", 2],
            ["d", 3]
          ]
        )
        assert.isTrue(more)
        assert.isFalse((yield* requests.metrics(range, 4)).more)
      })
    )

    it.effect("has no metrics where there are no records", () =>
      Effect.gen(function* () {
        const requests = yield* RequestStore
        const none = yield* requests.metrics({ from: time(-2000), to: time(-1000) }, 10)
        assert.deepStrictEqual(none, { items: [], more: false })
      })
    )

    it.effect.prop("counts and sums up as plain TypeScript does", [Records], ([generated]) =>
      Effect.gen(function* () {
        const requests = yield* RequestStore
        const day = nextDay()
        yield* requests.append(
          generated.map(({ millis, ...others }, index) =>
            record({ ...others, id: `${day}-${index}`, timestamp: time(day + millis) })
          )
        )
        const inside = generated.filter((item) => item.millis >= 0 && item.millis < 10)
        const expected = ["Shop", "größe", "shop"].flatMap((service) =>
          ["Z", "a", "b"].flatMap((route) => {
            const group = inside.filter((item) => item.service === service && item.route === route)
            const durations = group.map((item) => item.durationMillis)
            if (group.length === 0) return []
            return {
              service,
              route,
              requests: group.length,
              errors: group.filter((item) => item.status >= 500).length,
              percentiles: [0.5, 0.95, 0.99].map((p) => percentile(durations, p))
            }
          })
        )
        for (const service of [undefined, "shop"]) {
          const { items: actual } = yield* requests.metrics({ from: time(day), to: time(day + 10) }, 10, service)
          const wanted = expected.filter((item) => service === undefined || item.service === service)
          assert.deepStrictEqual(
            actual.map(({ p50: _, p95: __, p99: ___, ...others }) => others),
            wanted.map(({ percentiles: _, ...others }) => others)
          )
          for (const [index, { p50, p95, p99 }] of actual.entries()) {
            for (const [position, value] of [p50, p95, p99].entries()) {
              assert.closeTo(value, wanted[index]?.percentiles[position] ?? Number.NaN, 1e-6)
            }
          }
        }
      })
    )
  })
