import { type Aggregate, InvalidQuery, MeasurementNotFound, type Series } from "@opsbuddy/contract/Timeseries"
import { Effect } from "effect"
import { type Catalog, columnOf, type FieldColumn, type MeasurementEntry, type SeriesEntry, table } from "./Catalog.ts"
import * as Moment from "./Moment.ts"
import type { Column, Question } from "./Question.ts"

/**
 * A question as SQL. Its columns are `g`, the index in `groups`; `slot`, which is a time for plain fields, a count of windows
 * since `origin`, or 0 where a group has one row; and `c0`, `c1`, ... It is in the order of groups and times.
 */
export interface Statement {
  readonly sql: string
  readonly parameters: ReadonlyArray<bigint>
  readonly groups: ReadonlyArray<Group>
  /** The start of the first window, or of the range. */
  readonly origin: bigint
}

/** Series that are answered as one. */
export interface Group {
  readonly tags: ReadonlyArray<readonly [name: string, value: string]>
  readonly series: Array<SeriesEntry>
}

/** `undefined` when no series can answer. Users' words are not in the SQL: names are the catalog's, values are parameters. */
export const compile = Effect.fnUntraced(function* (
  question: Question,
  catalog: Catalog
): Effect.fn.Return<Statement | undefined, InvalidQuery | MeasurementNotFound> {
  const measurement = catalog.measurements.get(question.measurement)
  if (measurement === undefined) {
    return yield* new MeasurementNotFound({
      measurement: question.measurement,
      detail: `there is no measurement "${question.measurement}"`
    })
  }
  const columns: Array<{ readonly field: FieldColumn; readonly aggregate: Aggregate | undefined }> = []
  for (const column of question.columns) columns.push(yield* resolve(measurement, column))
  const groups = group(measurement, question)
  const [first] = groups
  if (first === undefined) return undefined
  const single = groups.length === 1

  const { aggregated, every, from, limit, order, to } = question
  const origin = every === undefined ? from : from - (((from % every) + every) % every)
  // Windows count from `origin`, so that the division is of positive numbers; in 128 bits where the range takes more than 63.
  const since = to - origin < 2n ** 63n && origin > -(2n ** 63n) ? `ts - (${origin})` : `ts::HUGEINT - (${origin})`
  const slot = every !== undefined ? `(${since}) // ${every}` : aggregated ? "0" : "ts"
  const alone = groups.every((group) => group.series.length === 1)
  const selected = columns.map(({ aggregate, field }, index) => {
    const name = columnOf(field)
    return `${aggregate === undefined ? name : aggregates[aggregate](name, alone)} AS c${index}`
  })
  const present = columns.map(({ field }) => `${columnOf(field)} IS NOT NULL`).join(" OR ")
  const sorting = `slot ${order}${aggregated ? "" : ", sid"}`
  const sql = [
    `SELECT ${single ? "0 AS g" : "g"}, ${slot} AS slot, ${selected.join(", ")}`,
    `FROM ${table(measurement)}`,
    single ? "" : join(groups),
    `WHERE ts >= $1 AND ts < $2 AND (${present})`,
    single && first.series.length < measurement.series.size ? `AND sid IN (${sids(first).join()})` : "",
    aggregated ? "GROUP BY g, slot" : "",
    limit === undefined || single ? "" : `QUALIFY row_number() OVER (PARTITION BY g ORDER BY ${sorting}) <= ${limit}`,
    `ORDER BY g, ${sorting}`,
    limit !== undefined && single ? `LIMIT ${limit}` : ""
  ]
  return { sql: sql.join("\n"), parameters: [from, to], groups, origin }
})

const sids = (group: Group) => group.series.map((series) => series.sid)

const join = (groups: ReadonlyArray<Group>) => {
  const indexes = groups.flatMap((group, index) => group.series.map(() => index))
  return `JOIN (SELECT unnest([${groups.flatMap(sids).join()}]::INTEGER[]) AS sid, unnest([${indexes.join()}]::INTEGER[]) AS g) USING (sid)`
}

const resolve = (measurement: MeasurementEntry, column: Column) => {
  const field = measurement.fields.get(column.field)
  if (field === undefined) return invalidSelect(`"${measurement.name}" has no field "${column.field}"`)
  const { aggregate } = column
  if ((aggregate === "mean" || aggregate === "sum") && (field.type === "string" || field.type === "boolean")) {
    return invalidSelect(`there is no ${aggregate} of the field "${field.name}", which is ${field.type}`)
  }
  return Effect.succeed({ field, aggregate })
}

const invalidSelect = (detail: string) =>
  Effect.fail(new InvalidQuery({ field: "select", detail: `select: ${detail}` }))

/** Of several series' points at the same time, `first` takes that of the oldest series and `last` that of the youngest. */
const moment = (alone: boolean) => (alone ? "ts" : "ts::HUGEINT * 4294967296 + sid")

const aggregates: Record<Aggregate, (column: string, alone: boolean) => string> = {
  mean: (column) => `avg(${column})`,
  sum: (column) => `sum(${column})`,
  min: (column) => `min(${column})`,
  max: (column) => `max(${column})`,
  count: (column) => `count(${column})`,
  first: (column, alone) => `arg_min(${column}, ${moment(alone)})`,
  last: (column, alone) => `arg_max(${column}, ${moment(alone)})`
}

/** The series that match, put together by the tags that the question groups by, in the order of those tags. */
const group = (measurement: MeasurementEntry, question: Question): ReadonlyArray<Group> => {
  const names = question.groupBy ?? (question.aggregated ? [] : undefined)
  const groups = new Map<string, Group>()
  for (const series of measurement.series.values()) {
    const values = new Map(series.tags.entries)
    if (!question.matches.every(({ tag, values: wanted }) => wanted.has(values.get(tag) ?? ""))) continue
    const tags =
      names === undefined ? series.tags.entries : names.map((name) => [name, values.get(name) ?? ""] as const)
    const key = JSON.stringify(tags)
    const known = groups.get(key)
    if (known === undefined) groups.set(key, { tags, series: [series] })
    else known.series.push(series)
  }
  return [...groups.values()].sort((a, b) => compare(a.tags.flat(), b.tags.flat()))
}

const compare = (a: ReadonlyArray<string>, b: ReadonlyArray<string>) => {
  for (const [index, text] of a.entries()) {
    const other = b[index]
    if (other === undefined || text > other) return 1
    if (text < other) return -1
  }
  return -1
}

/** A row of the statement's answer, with `c0`, `c1`, ... beside. */
export interface Answer {
  readonly [column: string]: number | bigint | string | boolean | null
  readonly g: number
  readonly slot: number | bigint
}

/** The answer as the contract has it. */
export const read = (
  question: Question,
  statement: Statement,
  answer: ReadonlyArray<Answer>
): ReadonlyArray<Series> => {
  const { columns, every = 0n, aggregated, measurement } = question
  const { groups, origin } = statement
  const names = ["time", ...columns.map((column) => column.name)]
  const series: Array<{
    readonly index: number
    readonly series: Series
    readonly rows: Array<Series["rows"][number]>
  }> = []
  for (const row of answer) {
    let current = series.at(-1)
    if (current?.index !== row.g) {
      const rows: Array<Series["rows"][number]> = []
      const tags = Object.fromEntries(groups[row.g]?.tags ?? [])
      current = { index: row.g, series: { measurement, tags, columns: names, rows }, rows }
      series.push(current)
    }
    const slot = BigInt(row.slot)
    const time = aggregated ? origin + slot * every : slot
    current.rows.push([Moment.format(time), ...columns.map((_, index) => value(row[`c${index}`] ?? null))])
  }
  return series.map((current) => current.series)
}

/** JSON has no infinity, which a sum may reach, and no integers beyond 2^53 that every reader reads exactly. */
const value = (value: Answer[string]): Series["rows"][number][number] => {
  if (typeof value === "bigint") {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : String(value)
  }
  return typeof value === "number" && !Number.isFinite(value) ? null : value
}
