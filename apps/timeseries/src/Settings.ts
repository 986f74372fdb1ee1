import * as Columnar from "@opsbuddy/columnar/Settings"
import type { Values } from "@opsbuddy/runtime/Variables"
import { variable } from "@opsbuddy/runtime/Variables"
import { Config, Schema } from "effect"
import type { Limits } from "./WriteBatch.ts"

/** Some 200 bytes of memory are kept for each series, and twice as many while the service starts. */
const defaultMaxSeries = Math.min(20_000_000, Math.max(1_000_000, Math.floor(Columnar.machineMemory() / 2048)))

const Count = Schema.NumberFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 2 ** 31 - 1 }))

export const variables = {
  memory: Columnar.memory("timeseries"),
  maxSeries: variable("OPSBUDDY_TIMESERIES_MAX_SERIES", (name) => Config.schema(Count, name), {
    description:
      "most series, over all measurements, that are taken; points of further ones are refused with 422. The default is one for each 2 KiB of memory, from 1 to 20 million",
    fallback: String(defaultMaxSeries)
  })
}

export const limits = ({ maxSeries, memory }: Values<typeof variables>): Limits => ({
  maxSeries,
  maxFields: 10_000,
  // A column that was written to takes two blocks until the next checkpoint: all of them a quarter of the memory.
  maxOwnColumns: Math.floor(Number(memory) / 4 / (2 * Columnar.blockBytes)),
  // Measured: a query of ten fields is ten times as fast over a table of the measurement's own.
  worth: { values: 50_000, valuesPerPoint: 4 }
})
