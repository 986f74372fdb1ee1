import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Columnar } from "@opsbuddy/columnar/Columnar"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { ByteSize, Effect, Layer } from "effect"
import * as SeriesStoreDuckDB from "../src/SeriesStoreDuckDB.ts"
import * as Settings from "../src/Settings.ts"
import type { Limits } from "../src/WriteBatch.ts"

export const limits: Limits = Settings.limits({ maxSeries: 1_000_000, memory: ByteSize.mebibytes(256) })

/** With these a measurement gets a table of its own as soon as it was written to. */
export const ownTables: Limits = { ...limits, worth: { values: 1, valuesPerPoint: 0 } }

/** The store over a file or `:memory:`, whose engine has so much memory. */
export const store = (filename: string, options = limits, memoryLimit: ByteSize.Input = "128 MiB") =>
  SeriesStoreDuckDB.layer(options).pipe(
    Layer.provideMerge(Columnar.layer({ filename, migrations: SeriesStoreDuckDB.migrations, memoryLimit })),
    Layer.provideMerge(StoreHealth.layer)
  )

export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "timeseries-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

export const temporaryFile = Effect.map(temporaryFolder, (directory) => join(directory, "timeseries.duckdb"))
