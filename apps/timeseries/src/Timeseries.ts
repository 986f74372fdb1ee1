import type { StoreProblem } from "@opsbuddy/contract/Problems"
import {
  InvalidLines,
  type InvalidQuery,
  type LimitReached,
  type MeasurementNotFound,
  type Measurements,
  type Query
} from "@opsbuddy/contract/Timeseries"
import { Clock, Context, Effect, Layer, Semaphore } from "effect"
import * as Explore from "./Explore.ts"
import * as LineProtocol from "./LineProtocol.ts"
import type { Result } from "./QueryResponse.ts"
import * as Question from "./Question.ts"
import { SeriesStore } from "./SeriesStore.ts"

/** Characters of line protocol that are read and written at the same time; what is more waits, so that memory stays bounded. */
const charactersAtOnce = 16 * 1024 * 1024

type QueryFailure = InvalidQuery | MeasurementNotFound

/** Time series as the contract has them, over a `SeriesStore`. */
export class Timeseries extends Context.Service<
  Timeseries,
  {
    /** Stores all points of the text or, failing, none, and answers how many there are. Points without a time are at now. */
    write(
      text: string,
      precision: LineProtocol.Precision | undefined
    ): Effect.Effect<{ readonly points: number }, InvalidLines | LimitReached | StoreProblem>
    query(query: Query): Effect.Effect<Result, QueryFailure>
    /** The query that the parameters describe, or, without any, what there is to query. */
    explore(parameters: Explore.Parameters): Effect.Effect<Result | typeof Measurements.Type, QueryFailure>
  }
>()("@opsbuddy/timeseries/Timeseries") {
  static readonly layer = Layer.effect(
    Timeseries,
    Effect.gen(function* () {
      const store = yield* SeriesStore
      const characters = yield* Semaphore.make(charactersAtOnce)

      const readAndStore = Effect.fnUntraced(function* (text: string, precision: LineProtocol.Precision) {
        const { invalid, points } = yield* LineProtocol.parse(text, precision, yield* Clock.currentTimeNanos)
        const [first] = invalid
        if (first !== undefined) {
          return yield* new InvalidLines({ lines: invalid, detail: `line ${first.line}: ${first.message}` })
        }
        if (points.length > 0) yield* store.write(points)
        return { points: points.length }
      })

      const query = Effect.fn("Timeseries.query")(function* (query: Query) {
        const question = yield* Question.make(query)
        const columns = ["time", ...question.columns.map((column) => column.name)]
        return { measurement: question.measurement, columns, parts: yield* store.query(question) }
      })

      return Timeseries.of({
        write: Effect.fn("Timeseries.write")(function* (text, precision = "ns") {
          return yield* characters.withPermits(Math.min(text.length, charactersAtOnce))(readAndStore(text, precision))
        }),
        query,
        explore: Effect.fn("Timeseries.explore")(function* (parameters) {
          if (Object.keys(parameters).length > 0) return yield* query(yield* Explore.toQuery(parameters))
          return { usage: Explore.usage, measurements: yield* store.measurements }
        })
      })
    })
  )
}
