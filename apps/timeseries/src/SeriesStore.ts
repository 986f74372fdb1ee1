import type { StoreProblem } from "@opsbuddy/contract/Problems"
import type {
  InvalidLines,
  InvalidQuery,
  LimitReached,
  Measurement,
  MeasurementNotFound,
  Series
} from "@opsbuddy/contract/Timeseries"
import { Context, type Effect, type Stream } from "effect"
import type { Point, Tags } from "./Point.ts"
import type { Question } from "./Question.ts"

/** Rows of one series that follow each other. `continues` means that the part before had the first rows of the same series. */
export interface SeriesPart {
  readonly tags: Tags["entries"]
  readonly continues: boolean
  readonly rows: Series["rows"]
}

/** Keeps points by measurement, series and time. Backends: `SeriesStoreDuckDB`. */
export class SeriesStore extends Context.Service<
  SeriesStore,
  {
    /**
     * Stores all points or, failing, none; returns when they are on disk. Of points with the same series and time the fields are
     * united, the later one's fields overwriting. Fails with `InvalidLines` when a field has another type than the points before.
     */
    write(points: ReadonlyArray<Point>): Effect.Effect<void, InvalidLines | LimitReached | StoreProblem>
    /**
     * Responds with series in the order of their tags, each with its rows in the order of time, read as they are consumed.
     * Series without rows are left out. A stream that ends without an error is whole.
     */
    query(
      question: Question
    ): Effect.Effect<Stream.Stream<SeriesPart, StoreProblem>, InvalidQuery | MeasurementNotFound>
    /** All measurements by name, with their fields and tags by name. */
    readonly measurements: Effect.Effect<ReadonlyArray<Measurement>>
  }
>()("@opsbuddy/timeseries/SeriesStore") {}
