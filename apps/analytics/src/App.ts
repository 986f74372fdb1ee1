import { join } from "node:path"
import { Columnar } from "@opsbuddy/columnar/Columnar"
import { AnalyticsServiceApi } from "@opsbuddy/contract/Api"
import * as App from "@opsbuddy/runtime/App"
import * as Docs from "@opsbuddy/runtime/Docs"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import { Effect, Layer } from "effect"
import { Analytics } from "./Analytics.ts"
import { AnalyticsHandlers } from "./AnalyticsHandlers.ts"
import * as LogStoreDuckDB from "./LogStoreDuckDB.ts"
import * as RequestStoreDuckDB from "./RequestStoreDuckDB.ts"

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

const migrations = { ...LogStoreDuckDB.migrations, ...RequestStoreDuckDB.migrations }

export const app = App.make({
  name: "analytics",
  api: AnalyticsServiceApi,
  docs: Docs.layer(AnalyticsServiceApi),
  variables: {},
  layer: (settings) => {
    const filename = join(settings.dataDirectory, "analytics", "analytics.duckdb")
    return Layer.mergeAll(AnalyticsHandlers, layerHealthProbe(filename)).pipe(
      Layer.provide(Analytics.layer),
      Layer.provide([LogStoreDuckDB.layer, RequestStoreDuckDB.layer]),
      Layer.provide(Columnar.layer({ filename, migrations }))
    )
  }
})
