import { join } from "node:path"
import { Columnar } from "@opsbuddy/columnar/Columnar"
import * as Probe from "@opsbuddy/columnar/Probe"
import { TimeseriesServiceApi } from "@opsbuddy/contract/Api"
import * as App from "@opsbuddy/runtime/App"
import * as Docs from "@opsbuddy/runtime/Docs"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import { influxdb, warnOfInfluxdb } from "@opsbuddy/runtime/Settings"
import { ByteSize, Layer } from "effect"
import { HttpIncomingMessage } from "effect/http"
import * as SeriesStoreDuckDB from "./SeriesStoreDuckDB.ts"
import { limits, variables } from "./Settings.ts"
import { Timeseries } from "./Timeseries.ts"
import { TimeseriesHandlers } from "./TimeseriesHandlers.ts"

/** A larger body is refused with 413. Points take some ten times the memory of their lines while they are written. */
const layerMaxBody = Layer.succeed(HttpIncomingMessage.MaxBodySize, ByteSize.mebibytes(16))

export const app = App.make({
  name: "timeseries",
  api: TimeseriesServiceApi,
  docs: Docs.layer(TimeseriesServiceApi),
  variables: { ...influxdb, ...variables },
  layer: (settings) => {
    const filename = join(settings.dataDirectory, "timeseries", "timeseries.duckdb")
    const parts = [TimeseriesHandlers, Layer.effect(HealthProbe, Probe.make(filename))] as const
    return Layer.mergeAll(...parts, Layer.effectDiscard(warnOfInfluxdb(settings))).pipe(
      Layer.provide(layerMaxBody),
      Layer.provide(Timeseries.layer),
      Layer.provide(SeriesStoreDuckDB.layer(limits(settings))),
      Layer.provide(
        Columnar.layer({ filename, migrations: SeriesStoreDuckDB.migrations, memoryLimit: settings.memory })
      )
    )
  }
})
