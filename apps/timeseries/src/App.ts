import { join } from "node:path"
import { Columnar } from "@opsbuddy/columnar/Columnar"
import { TimeseriesServiceApi } from "@opsbuddy/contract/Api"
import * as App from "@opsbuddy/runtime/App"
import * as Docs from "@opsbuddy/runtime/Docs"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import { ByteSize, Effect, Layer } from "effect"
import { HttpIncomingMessage } from "effect/http"
import * as SeriesStoreDuckDB from "./SeriesStoreDuckDB.ts"
import { Timeseries } from "./Timeseries.ts"
import { TimeseriesHandlers } from "./TimeseriesHandlers.ts"

/** The health of the columnar store in `filename`. */
const layerHealthProbe = (filename: string) =>
  Layer.effect(
    HealthProbe,
    Effect.map(Columnar, (columnar) => ({
      database: columnar.ping.pipe(
        Effect.as("healthy" as const),
        Effect.catch((error) =>
          Effect.as(Effect.logError("database does not answer", { error: error.message }), "unhealthy" as const)
        )
      ),
      storage: columnar.size.pipe(
        Effect.orDie,
        Effect.map((bytes) => ({ kind: "duckdb", location: filename, bytes }))
      )
    }))
  )

/** A larger body is refused with 413. Points take some ten times the memory of their lines while they are written. */
const layerMaxBody = Layer.succeed(HttpIncomingMessage.MaxBodySize, ByteSize.mebibytes(16))

export const app = App.make({
  name: "timeseries",
  api: TimeseriesServiceApi,
  docs: Docs.layer(TimeseriesServiceApi),
  variables: {},
  layer: (settings) => {
    const filename = join(settings.dataDirectory, "timeseries", "timeseries.duckdb")
    return Layer.mergeAll(TimeseriesHandlers, layerHealthProbe(filename)).pipe(
      Layer.provide(layerMaxBody),
      Layer.provide(Timeseries.layer),
      Layer.provide(SeriesStoreDuckDB.layer),
      Layer.provide(Columnar.layer({ filename, migrations: SeriesStoreDuckDB.migrations }))
    )
  }
})
