import type { FieldType } from "@opsbuddy/contract/Timeseries"
import { Effect } from "effect"
import { type Catalog, type FieldEntry, type MeasurementEntry, makeMeasurement } from "./Catalog.ts"
import { emptyRange, widen } from "./FloatRange.ts"
import { columnsOf, maxColumns } from "./OwnTable.ts"
import { type Field, type FieldValue, type InvalidLine, maxInvalidLines, type Point, type Tags } from "./Point.ts"

/** A row of a measurement's own table: time, series, and the value of each field by position, `null` where there is none. */
export type OwnRow = Array<bigint | FieldValue | null>

/** Rows of a shared table, a column each. */
export interface SharedRows {
  readonly ts: Array<bigint>
  readonly sid: Array<number>
  readonly fid: Array<number>
  readonly v: Array<FieldValue>
}

/** A point that is not newer than all of its series: its fields overwrite those that are there. */
interface LatePoint {
  readonly time: bigint
  readonly sid: number
  readonly values: Map<FieldEntry, FieldValue>
}

/** What is to be written to one measurement. `fresh` means that it does not exist yet, `newTable` that its table does not. */
export interface MeasurementWrites {
  readonly entry: MeasurementEntry
  readonly fresh: boolean
  readonly table: MeasurementEntry["table"]
  readonly newTable: boolean
  readonly fields: Map<string, FieldEntry>
  readonly newFields: Array<FieldEntry>
  readonly newTagNames: Set<string>
  readonly newKeys: Array<string>
  /** The latest time of each series that it touches, by index. */
  readonly newest: Map<number, bigint>
  readonly rows: Array<OwnRow>
  /** One a series and time, by both. */
  readonly late: Map<string, LatePoint>
  points: number
  values: number
}

/** What would pass a limit of the store. */
export interface LimitPassed {
  readonly limit: "series" | "fields"
  readonly measurement: string
}

export interface Limits {
  /** Series of all measurements together. */
  readonly maxSeries: number
  /** Fields of one measurement. */
  readonly maxFields: number
  /** Columns of all tables that measurements have of their own. */
  readonly maxOwnColumns: number
  /** How many values, and how many to a point, make a measurement worth a table of its own. */
  readonly worth: { readonly values: number; readonly valuesPerPoint: number }
}

export type Rejection = { readonly invalid: ReadonlyArray<InvalidLine> } | { readonly passed: LimitPassed }

/** So many points are looked at between two turns of the event loop: some milliseconds. */
const slice = 2000

/** A point that is further ahead of now than this keeps its measurement from getting a table, whose rows are newer than all others. */
const farAhead = 3_600_000_000_000n

/**
 * What a group of write requests changes, worked out in memory: `add` the points of one request after the other, write what came
 * of it, and once that is on disk `apply` it to the catalog.
 */
export class WriteBatch {
  readonly measurements = new Map<string, MeasurementWrites>()
  readonly shared = new Map<FieldType, SharedRows>()
  /** Fields whose range has changed since it was stored. */
  readonly widened = new Set<FieldEntry>()
  readonly #catalog: Catalog
  readonly #limits: Limits
  readonly #now: bigint
  #nextMeasurement: number
  #nextField: number
  #ownColumns: number
  #isApplied = false

  constructor(catalog: Catalog, limits: Limits, now: bigint) {
    this.#catalog = catalog
    this.#limits = limits
    this.#now = now
    this.#nextMeasurement = catalog.nextMeasurement
    this.#nextField = catalog.nextField
    this.#ownColumns = catalog.ownColumns
  }

  /** Takes all points, or none of them and says why. */
  add(points: ReadonlyArray<Point>): Effect.Effect<Rejection | undefined> {
    const check = this.#check.bind(this)
    const addPoint = this.#addPoint.bind(this)
    return Effect.gen(function* () {
      const rejection = yield* check(points)
      if (rejection !== undefined) return rejection
      for (const [index, point] of points.entries()) {
        addPoint(point)
        if (index % slice === slice - 1) yield* Effect.yieldNow
      }
      return undefined
    })
  }

  /** Enters what is on disk by now into the catalog. New series are there already: there may be hundreds of thousands. */
  apply() {
    this.#isApplied = true
    this.#catalog.nextMeasurement = this.#nextMeasurement
    this.#catalog.nextField = this.#nextField
    this.#catalog.ownColumns = this.#ownColumns
    for (const { range } of this.widened) range.changed = false
    for (const writes of this.measurements.values()) {
      const { entry } = writes
      this.#catalog.measurements.set(entry.name, entry)
      if (writes.newTable) for (const field of entry.fields.values()) field.inTable = field.position < maxColumns
      entry.table = writes.table
      for (const field of writes.newFields) entry.fields.set(field.name, field)
      for (const name of writes.newTagNames) entry.tagNames.add(name)
      for (const [index, time] of writes.newest) entry.series.advance(index, time)
      entry.written.points += writes.points
      entry.written.values += writes.values
    }
  }

  /** Takes back what `add` has entered into the catalog, unless it was applied. Ids are not used again: a query may hold them. */
  discard() {
    if (this.#isApplied) return
    for (const { entry, newKeys } of this.measurements.values()) {
      entry.series.remove(newKeys)
      this.#catalog.seriesCount -= newKeys.length
    }
  }

  *#newNames(points: ReadonlyArray<Point>, passed: (passed: LimitPassed) => void) {
    const series = new Set<string>()
    const fields = new Map<string, Set<string>>()
    for (const { fields: pointFields, measurement, tags } of points) {
      const writes = this.measurements.get(measurement)
      const entry = writes?.entry ?? this.#catalog.measurements.get(measurement)
      if (entry?.series.indexOf(tags.key) === undefined) {
        series.add(JSON.stringify([measurement, tags.key]))
        if (this.#catalog.seriesCount + series.size > this.#limits.maxSeries)
          return passed({ limit: "series", measurement })
      }
      const known = writes?.fields ?? entry?.fields
      for (const { name } of pointFields) {
        if (known?.has(name)) continue
        const added = fields.get(measurement) ?? new Set()
        fields.set(measurement, added.add(name))
        if ((known?.size ?? 0) + added.size > this.#limits.maxFields) return passed({ limit: "fields", measurement })
      }
      yield
    }
  }

  *#conflicts(points: ReadonlyArray<Point>, conflicts: Array<InvalidLine>) {
    const added = new Map<string, Map<string, FieldType>>()
    for (const { fields, line, measurement } of points) {
      const known = this.measurements.get(measurement)?.fields ?? this.#catalog.measurements.get(measurement)?.fields
      for (const { name, type } of fields) {
        const before = known?.get(name)?.type ?? firstType(added, measurement, name, type)
        if (before === type) continue
        conflicts.push({ line, message: `field "${name}" of "${measurement}" is ${before}, the line has ${type}` })
        if (conflicts.length === maxInvalidLines) return
        break
      }
      yield
    }
  }

  #check(points: ReadonlyArray<Point>): Effect.Effect<Rejection | undefined> {
    const conflicts: Array<InvalidLine> = []
    let passed: LimitPassed | undefined
    const find = this.#conflicts(points, conflicts)
    const count = this.#newNames(points, (limit) => {
      passed = limit
    })
    return Effect.gen(function* () {
      yield* inSlices(find)
      if (conflicts.length > 0) return { invalid: conflicts }
      yield* inSlices(count)
      return passed === undefined ? undefined : { passed }
    })
  }

  #addPoint(point: Point) {
    const writes = this.#measurement(point.measurement)
    const index = this.#series(writes, point.tags)
    const { series } = writes.entry
    const sid = series.sid(index)
    const fields = lastOfEach(point.fields)
    writes.points++
    writes.values += fields.length
    if (point.time > (writes.newest.get(index) ?? series.newest(index))) {
      writes.newest.set(index, point.time)
      this.#append(writes, point.time, sid, fields)
      return
    }
    const key = `${sid} ${point.time}`
    const late = writes.late.get(key) ?? { time: point.time, sid, values: new Map() }
    writes.late.set(key, late)
    for (const field of fields) late.values.set(this.#field(writes, field), field.value)
  }

  /** The values of a point that is newer than all of its series. */
  #append(writes: MeasurementWrites, time: bigint, sid: number, fields: ReadonlyArray<Field>) {
    let row: OwnRow | undefined
    for (const item of fields) {
      const field = this.#field(writes, item)
      if (isInTable(writes, field, time)) {
        if (row === undefined) {
          row = [time, sid]
          writes.rows.push(row)
        }
        while (row.length < field.position + 2) row.push(null)
        row[field.position + 2] = item.value
      } else {
        addShared(this.shared, field, time, sid, item.value)
      }
    }
  }

  #measurement(name: string): MeasurementWrites {
    let writes = this.measurements.get(name)
    if (writes === undefined) {
      const known = this.#catalog.measurements.get(name)
      const entry = known ?? makeMeasurement(this.#nextMeasurement++, name)
      const table = entry.table ?? this.#newTable(entry)
      writes = {
        entry,
        fresh: known === undefined,
        table,
        newTable: table !== entry.table,
        fields: new Map(entry.fields),
        newFields: [],
        newTagNames: new Set(),
        newKeys: [],
        newest: new Map(),
        rows: [],
        late: new Map(),
        points: 0,
        values: 0
      }
      this.measurements.set(name, writes)
    }
    return writes
  }

  /** The table that the measurement gets from now on, if it has grown to be worth one. */
  #newTable(entry: MeasurementEntry) {
    const { points, values } = entry.written
    const { worth } = this.#limits
    if (values < worth.values || values < points * worth.valuesPerPoint) return undefined
    const columns = columnsOf(entry)
    if (this.#ownColumns + columns > this.#limits.maxOwnColumns) return undefined
    const after = entry.series.latest()
    if (after > this.#now + farAhead) return undefined
    this.#ownColumns += columns
    return { after }
  }

  #series(writes: MeasurementWrites, tags: Tags) {
    const { series, tagNames } = writes.entry
    const known = series.indexOf(tags.key)
    if (known !== undefined) return known
    this.#catalog.seriesCount++
    writes.newKeys.push(tags.key)
    for (const [name] of tags.entries) if (!tagNames.has(name)) writes.newTagNames.add(name)
    return series.add(tags.key, this.#catalog.nextSid++)
  }

  #field(writes: MeasurementWrites, { name, type, value }: Field): FieldEntry {
    let field = writes.fields.get(name)
    if (field === undefined) {
      const position = writes.fields.size
      const inTable = writes.table !== undefined && position < maxColumns
      field = { id: this.#nextField++, name, type, position, inTable, range: emptyRange() }
      if (inTable) this.#ownColumns++
      writes.fields.set(name, field)
      writes.newFields.push(field)
    }
    if (typeof value === "number") {
      // At once, so that no query meets a value outside of the range; if the batch fails, it is wider than need be.
      widen(field.range, value)
      if (field.range.changed) this.widened.add(field)
    }
    return field
  }
}

/** Whether the measurement's own table, once the batch is written, has a column for the field. */
export const hasColumn = ({ newTable }: MeasurementWrites, field: FieldEntry) =>
  newTable ? field.position < maxColumns : field.inTable

/** Whether the value of the field at this time is one of the measurement's own table. */
export const isInTable = (writes: MeasurementWrites, field: FieldEntry, time: bigint) =>
  writes.table !== undefined && time > writes.table.after && hasColumn(writes, field)

/** Adds a row to the shared table of the field's type. */
export const addShared = (
  tables: Map<FieldType, SharedRows>,
  field: FieldEntry,
  time: bigint,
  sid: number,
  value: FieldValue
) => {
  const rows = tables.get(field.type) ?? { ts: [], sid: [], fid: [], v: [] }
  tables.set(field.type, rows)
  rows.ts.push(time)
  rows.sid.push(sid)
  rows.fid.push(field.id)
  rows.v.push(value)
}

const inSlices = (steps: Generator<undefined, void>) =>
  Effect.gen(function* () {
    for (let step = 1; steps.next().done !== true; step++) if (step % slice === 0) yield* Effect.yieldNow
  })

/** The fields without those that a later one of the same name overwrites. */
const lastOfEach = (fields: ReadonlyArray<Field>): ReadonlyArray<Field> => {
  if (fields.length <= few && !fields.some(({ name }, index) => hasName(fields, name, index))) return fields
  const last = new Map(fields.map((field) => [field.name, field]))
  return last.size === fields.length ? fields : [...last.values()]
}

/** Up to so many names are compared with each other sooner than a map of them is made. */
const few = 16

const hasName = (fields: ReadonlyArray<Field>, name: string, before: number) => {
  for (let index = 0; index < before; index++) if (fields[index]?.name === name) return true
  return false
}

/** The type that the request gives the new field first; this one when there is none before. */
const firstType = (added: Map<string, Map<string, FieldType>>, measurement: string, name: string, type: FieldType) => {
  const types = added.get(measurement) ?? new Map<string, FieldType>()
  added.set(measurement, types)
  const before = types.get(name) ?? type
  types.set(name, before)
  return before
}
