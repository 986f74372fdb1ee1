import type { FieldType } from "@opsbuddy/contract/Timeseries"
import type { Catalog, FieldColumn, MeasurementEntry, SeriesEntry } from "./Catalog.ts"
import { type FieldValue, type InvalidLine, invalidLinesTold, type Point } from "./Point.ts"

/** A row of a measurement's table: time, series id, and the value of each field by position, `null` where there is none. */
export type Row = Array<bigint | FieldValue | null>

/** What is to be written to one measurement. `fresh` is that its table does not exist yet. */
export interface MeasurementDraft {
  readonly entry: MeasurementEntry
  readonly fresh: boolean
  readonly fields: Map<string, FieldColumn>
  readonly newFields: Array<FieldColumn>
  readonly newSeries: Map<string, SeriesEntry>
  readonly newest: Map<SeriesEntry, bigint>
  /** Points that are newer than all of their series. */
  readonly rows: Array<Row>
  /** The other points, one a series and time. */
  readonly late: Map<string, Row>
}

/**
 * What a group of batches changes, worked out in memory: `add` a batch after the other, write `measurements` to the store, and
 * once that is on disk `apply` it to the catalog.
 */
export class Draft {
  readonly measurements = new Map<string, MeasurementDraft>()
  readonly #catalog: Catalog
  #nextMeasurement: number
  #nextSid: number

  constructor(catalog: Catalog) {
    this.#catalog = catalog
    this.#nextMeasurement = catalog.nextMeasurement
    this.#nextSid = catalog.nextSid
  }

  /** Takes the whole batch, or none of it and answers the lines whose fields have another type than before. */
  add(points: ReadonlyArray<Point>): ReadonlyArray<InvalidLine> {
    const conflicts = this.#conflicts(points)
    if (conflicts.length === 0) for (const point of points) this.#addPoint(point)
    return conflicts
  }

  apply() {
    this.#catalog.nextMeasurement = this.#nextMeasurement
    this.#catalog.nextSid = this.#nextSid
    for (const { entry, newFields, newSeries, newest } of this.measurements.values()) {
      this.#catalog.measurements.set(entry.name, entry)
      for (const field of newFields) entry.fields.set(field.name, field)
      for (const [key, series] of newSeries) entry.series.set(key, series)
      for (const [series, time] of newest) series.newest = time
    }
  }

  #conflicts(points: ReadonlyArray<Point>): ReadonlyArray<InvalidLine> {
    const conflicts: Array<InvalidLine> = []
    const added = new Map<string, Map<string, FieldType>>()
    for (const { fields, line, measurement } of points) {
      const known = this.measurements.get(measurement)?.fields ?? this.#catalog.measurements.get(measurement)?.fields
      for (const { name, type } of fields) {
        const before = known?.get(name)?.type ?? firstType(added, measurement, name, type)
        if (before === type) continue
        conflicts.push({ line, message: `field "${name}" of "${measurement}" is ${before}, the line has ${type}` })
        if (conflicts.length === invalidLinesTold) return conflicts
        break
      }
    }
    return conflicts
  }

  #addPoint(point: Point) {
    const draft = this.#measurement(point.measurement)
    const series = this.#series(draft, point)
    const time = point.time
    let row: Row
    if (time > (draft.newest.get(series) ?? series.newest)) {
      draft.newest.set(series, time)
      row = [time, series.sid]
      draft.rows.push(row)
    } else {
      const key = `${series.sid} ${time}`
      row = draft.late.get(key) ?? [time, series.sid]
      draft.late.set(key, row)
    }
    for (const field of point.fields) {
      const index = this.#field(draft, field.name, field.type).position + 2
      while (row.length < index) row.push(null)
      row[index] = field.value
    }
  }

  #measurement(name: string): MeasurementDraft {
    let draft = this.measurements.get(name)
    if (draft === undefined) {
      const known = this.#catalog.measurements.get(name)
      const entry = known ?? { id: this.#nextMeasurement++, name, fields: new Map(), series: new Map() }
      draft = {
        entry,
        fresh: known === undefined,
        fields: new Map(entry.fields),
        newFields: [],
        newSeries: new Map(),
        newest: new Map(),
        rows: [],
        late: new Map()
      }
      this.measurements.set(name, draft)
    }
    return draft
  }

  #series(draft: MeasurementDraft, { tags }: Point): SeriesEntry {
    let series = draft.entry.series.get(tags.key) ?? draft.newSeries.get(tags.key)
    if (series === undefined) {
      // Older than any point, so that the first one is new.
      series = { sid: this.#nextSid++, tags, newest: -(2n ** 63n) }
      draft.newSeries.set(tags.key, series)
    }
    return series
  }

  #field(draft: MeasurementDraft, name: string, type: FieldType): FieldColumn {
    let field = draft.fields.get(name)
    if (field === undefined) {
      field = { name, type, position: draft.fields.size }
      draft.fields.set(name, field)
      draft.newFields.push(field)
    }
    return field
  }
}

/** The type that the batch gives the new field first; this one when there is none before. */
const firstType = (added: Map<string, Map<string, FieldType>>, measurement: string, name: string, type: FieldType) => {
  const types = added.get(measurement) ?? new Map<string, FieldType>()
  added.set(measurement, types)
  const before = types.get(name) ?? type
  types.set(name, before)
  return before
}
