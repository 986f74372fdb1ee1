import { assert } from "@effect/vitest"
import type { Query, Series } from "@opsbuddy/contract/Timeseries"
import { Effect, Stream } from "effect"
import * as LineProtocol from "../src/LineProtocol.ts"
import * as Question from "../src/Question.ts"
import { SeriesStore } from "../src/SeriesStore.ts"

/** Writes line protocol whose times are nanoseconds. */
export const write = Effect.fnUntraced(function* (text: string) {
  const { invalid, points } = yield* LineProtocol.parse(text, "ns", 0n)
  assert.deepStrictEqual(invalid, [])
  return yield* (yield* SeriesStore).write(points)
})

/** The result of a query over all times, unless it says others, as the contract has it. */
export const ask = Effect.fnUntraced(function* (query: Query) {
  const question = yield* Question.make({ from: "0001-01-01T00:00:00Z", to: "9999-12-31T00:00:00Z", ...query })
  const parts = yield* Stream.runCollect(yield* (yield* SeriesStore).query(question))
  const columns = ["time", ...question.columns.map((column) => column.name)]
  const series: Array<Series> = []
  for (const { continues, rows, tags } of parts) {
    const before = continues ? series.pop() : undefined
    const { measurement } = question
    series.push({ measurement, columns, tags: Object.fromEntries(tags), rows: [...(before?.rows ?? []), ...rows] })
  }
  return series
})

/** The rows of each series, by its tags. */
export const rows = (query: Query) =>
  Effect.map(ask(query), (series) => series.map(({ rows, tags }) => [Object.values(tags).join("/"), ...rows]))

/** RFC 3339 of whole seconds since 1970. */
export const second = (count: number) => new Date(count * 1000).toISOString().replace(".000", "")
/** The field that most points have. */
export const value = { field: "v" }
