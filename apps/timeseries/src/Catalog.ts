import type { FieldType, Measurement } from "@opsbuddy/contract/Timeseries"
import type { FloatRange } from "./FloatRange.ts"
import { SeriesTable } from "./SeriesTable.ts"

/**
 * A field of a measurement. `id` is the field's among all measurements, as shared tables have it; `position` is its place in the
 * measurement, and that of its column where it has one.
 */
export interface FieldEntry {
  readonly id: number
  readonly name: string
  readonly type: FieldType
  readonly position: number
  /** Whether the measurement's own table, where there is one, has a column for it. */
  inTable: boolean
  /** Of a float field; never narrower than that of the values on disk. */
  readonly range: FloatRange
}

/**
 * A measurement. Its values are in the tables that measurements share (`SharedTables`), except those that are newer than
 * `table.after`: they are in a table of its own (`OwnTable`). So each value is in one place, and nothing is ever moved.
 */
export interface MeasurementEntry {
  readonly id: number
  readonly name: string
  readonly fields: Map<string, FieldEntry>
  readonly series: SeriesTable
  readonly tagNames: Set<string>
  table: { readonly after: bigint } | undefined
  /** What was written since the start, which decides whether it gets a table of its own. */
  readonly written: { points: number; values: number }
}

/** What the store holds beside the values, as it is on disk. Names of users never become names of tables and columns. */
export interface Catalog {
  readonly measurements: Map<string, MeasurementEntry>
  nextMeasurement: number
  nextField: number
  nextSid: number
  seriesCount: number
  /** Columns of all tables that measurements have of their own, each of which takes memory between checkpoints. */
  ownColumns: number
}

export const makeCatalog = (): Catalog => ({
  measurements: new Map(),
  nextMeasurement: 1,
  nextField: 1,
  nextSid: 1,
  seriesCount: 0,
  ownColumns: 0
})

export const makeMeasurement = (id: number, name: string): MeasurementEntry => ({
  id,
  name,
  fields: new Map(),
  series: new SeriesTable(),
  tagNames: new Set(),
  table: undefined,
  written: { points: 0, values: 0 }
})

const byName = (a: { readonly name: string }, b: { readonly name: string }) => (a.name < b.name ? -1 : 1)

/** The catalog as the contract shows it. */
export const describe = (catalog: Catalog): ReadonlyArray<Measurement> =>
  [...catalog.measurements.values()].sort(byName).map((measurement) => ({
    name: measurement.name,
    fields: [...measurement.fields.values()].sort(byName).map(({ name, type }) => ({ name, type })),
    tags: [...measurement.tagNames].sort(),
    seriesCount: measurement.series.size
  }))
