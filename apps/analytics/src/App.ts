import { join } from "node:path"
import { Columnar } from "@opsbuddy/columnar/Columnar"
import * as Probe from "@opsbuddy/columnar/Probe"
import * as ColumnarSettings from "@opsbuddy/columnar/Settings"
import { AnalyticsServiceApi } from "@opsbuddy/contract/Api"
import * as App from "@opsbuddy/runtime/App"
import * as Docs from "@opsbuddy/runtime/Docs"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import { influxdb, warnOfInfluxdb } from "@opsbuddy/runtime/Settings"
import { Layer } from "effect"
import { Analytics } from "./Analytics.ts"
import { AnalyticsHandlers } from "./AnalyticsHandlers.ts"
import * as LogStoreDuckDB from "./LogStoreDuckDB.ts"
import * as RequestStoreDuckDB from "./RequestStoreDuckDB.ts"

const migrations = { ...LogStoreDuckDB.migrations, ...RequestStoreDuckDB.migrations }

export const app = App.make({
  name: "analytics",
  api: AnalyticsServiceApi,
  docs: Docs.layer(AnalyticsServiceApi),
  variables: { ...influxdb, memory: ColumnarSettings.memory("analytics") },
  layer: (settings) => {
    const filename = join(settings.dataDirectory, "analytics", "analytics.duckdb")
    const parts = [AnalyticsHandlers, Layer.effect(HealthProbe, Probe.make(filename))] as const
    return Layer.mergeAll(...parts, Layer.effectDiscard(warnOfInfluxdb(settings))).pipe(
      Layer.provide(Analytics.layer),
      Layer.provide([LogStoreDuckDB.layer, RequestStoreDuckDB.layer]),
      Layer.provide(
        Columnar.layer({
          filename,
          migrations,
          memoryLimit: settings.memory,
          memorySetting: ColumnarSettings.memoryName("analytics")
        })
      )
    )
  }
})
