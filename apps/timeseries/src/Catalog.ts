import type { FieldType, Measurement } from "@opsbuddy/contract/Timeseries"
import type { Tags } from "./Point.ts"

/** A field of a measurement and its column, `f<position>`. */
export interface FieldColumn {
  readonly name: string
  readonly type: FieldType
  readonly position: number
}

/** `newest` is the latest time that the series has a point at. */
export interface SeriesEntry {
  readonly sid: number
  readonly tags: Tags
  newest: bigint
}

/** A measurement and its table, `m<id>`. Fields are by name, in the order of their positions; series are by the key of their tags. */
export interface MeasurementEntry {
  readonly id: number
  readonly name: string
  readonly fields: Map<string, FieldColumn>
  readonly series: Map<string, SeriesEntry>
}

/** What the store holds beside the values, as it is on disk. Names of users never become names of tables and columns. */
export interface Catalog {
  readonly measurements: Map<string, MeasurementEntry>
  nextMeasurement: number
  nextSid: number
}

export const table = (measurement: { readonly id: number }) => `m${measurement.id}`

export const columnOf = (field: FieldColumn) => `f${field.position}`

const byName = (a: { readonly name: string }, b: { readonly name: string }) => (a.name < b.name ? -1 : 1)

/** The catalog as the contract shows it. */
export const describe = (catalog: Catalog): ReadonlyArray<Measurement> =>
  [...catalog.measurements.values()].sort(byName).map((measurement) => {
    const tags = new Set<string>()
    for (const series of measurement.series.values()) for (const [name] of series.tags.entries) tags.add(name)
    return {
      name: measurement.name,
      fields: [...measurement.fields.values()].sort(byName).map(({ name, type }) => ({ name, type })),
      tags: [...tags].sort(),
      seriesCount: measurement.series.size
    }
  })
