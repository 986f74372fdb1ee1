import { Columnar, type Writer } from "@opsbuddy/columnar/Columnar"
import type { ColumnarError } from "@opsbuddy/columnar/ColumnarError"
import { problems, streamProblems } from "@opsbuddy/columnar/StoreProblems"
import { InvalidLines, LimitReached, MeasurementNotFound } from "@opsbuddy/contract/Timeseries"
import type { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Clock, Effect, Layer, Stream } from "effect"
import { describe } from "./Catalog.ts"
import * as CatalogStore from "./CatalogStore.ts"
import * as FirstRelease from "./FirstRelease.ts"
import type { Point } from "./Point.ts"
import * as QueryRows from "./QueryRows.ts"
import * as QuerySql from "./QuerySql.ts"
import * as SeriesGroups from "./SeriesGroups.ts"
import { SeriesStore } from "./SeriesStore.ts"
import * as ValueStore from "./ValueStore.ts"
import { type Limits, type Rejection, WriteBatch } from "./WriteBatch.ts"

export const migrations = CatalogStore.migrations

/** A write request that waits, and, after its commit, why it was not taken. */
interface Request {
  readonly points: ReadonlyArray<Point>
  rejection: Rejection | undefined
}

/** Keeps points in the columnar store, whose migrations must be this module's. */
export const layer = (limits: Limits): Layer.Layer<SeriesStore, ColumnarError, Columnar | StoreHealth> =>
  Layer.effect(
    SeriesStore,
    Effect.gen(function* () {
      const columnar = yield* Columnar
      yield* FirstRelease.upgrade(columnar, limits.worth.values)
      const catalog = yield* CatalogStore.load(columnar)
      let previous: WriteBatch | undefined

      const commit = yield* columnar.grouped(
        Effect.fnUntraced(function* (requests: ReadonlyArray<Request>, writer: Writer) {
          // One transaction at a time: what was not committed by now never will be.
          previous?.discard()
          const batch = new WriteBatch(catalog, limits, yield* Clock.currentTimeNanos)
          previous = batch
          for (const request of requests) request.rejection = yield* batch.add(request.points)
          yield* CatalogStore.save(writer, batch)
          yield* ValueStore.save(writer, batch)
          writer.afterCommit(() => batch.apply())
        })
      )

      return SeriesStore.of({
        write: Effect.fn("SeriesStoreDuckDB.write")(function* (points) {
          const request: Request = { points, rejection: undefined }
          yield* problems(commit(request))
          if (request.rejection !== undefined) return yield* refuse(request.rejection, limits)
        }),
        query: Effect.fn("SeriesStoreDuckDB.query")(function* (question) {
          const measurement = catalog.measurements.get(question.measurement)
          if (measurement === undefined) {
            const detail = `no measurement is named "${question.measurement}"`
            return yield* new MeasurementNotFound({ measurement: question.measurement, detail })
          }
          const groups = yield* SeriesGroups.find(measurement, question)
          const statement = yield* QuerySql.compile(question, measurement, groups)
          if (groups.size === 0) return Stream.empty
          const { members } = groups
          const tables =
            statement.readsMembers && members !== undefined ? { [QuerySql.membersTable]: table(members) } : {}
          return columnar
            .streamChunks(statement.sql, statement.parameters, { tables })
            .pipe(
              streamProblems,
              Stream.map(QueryRows.make(question, groups, statement.origin)),
              Stream.flattenIterable
            )
        }),
        measurements: Effect.sync(() => describe(catalog))
      })
    })
  )

const table = ({ groups, sids }: NonNullable<SeriesGroups.SeriesGroups["members"]>) =>
  ({
    types: { sid: "INTEGER", g: "INTEGER" },
    columns: [sids, groups],
    rowCount: sids.length
  }) as const

const refuse = (rejection: Rejection, limits: Limits) => {
  if ("invalid" in rejection) {
    const [first] = rejection.invalid
    return new InvalidLines({
      lines: rejection.invalid,
      detail: first === undefined ? "a line conflicts with another" : `line ${first.line}: ${first.message}`
    })
  }
  const { limit, measurement } = rejection.passed
  return limit === "series"
    ? new LimitReached({
        limit,
        maximum: limits.maxSeries,
        detail: `"${measurement}" would get a new series, and there are ${limits.maxSeries} already; raise OPSBUDDY_TIMESERIES_MAX_SERIES or use fewer tag values`
      })
    : new LimitReached({
        limit,
        maximum: limits.maxFields,
        detail: `"${measurement}" would have more than ${limits.maxFields} fields`
      })
}
