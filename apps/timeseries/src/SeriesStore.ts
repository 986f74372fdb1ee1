import type { StoreUnavailable } from "@opsbuddy/contract/Problems"
import type {
  InvalidLines,
  InvalidQuery,
  Measurement,
  MeasurementNotFound,
  Series
} from "@opsbuddy/contract/Timeseries"
import { Context, type Effect } from "effect"
import type { Point } from "./Point.ts"
import type { Question } from "./Question.ts"

/** Keeps points by measurement, series and time. Backends: `SeriesStoreDuckDB`. */
export class SeriesStore extends Context.Service<
  SeriesStore,
  {
    /**
     * Stores all points or, failing, none; returns when they are on disk. Of points with the same series and time the fields are
     * united, the later one's fields overwriting. Fails with `InvalidLines` when a field has another type than the points before.
     */
    write(points: ReadonlyArray<Point>): Effect.Effect<void, InvalidLines | StoreUnavailable>
    /** Answers series in the order of their tags, each with its rows in the order of time. Series without rows are left out. */
    query(
      question: Question
    ): Effect.Effect<ReadonlyArray<Series>, InvalidQuery | MeasurementNotFound | StoreUnavailable>
    /** All measurements by name, with their fields and tags by name. */
    readonly measurements: Effect.Effect<ReadonlyArray<Measurement>, StoreUnavailable>
  }
>()("@opsbuddy/timeseries/SeriesStore") {}
