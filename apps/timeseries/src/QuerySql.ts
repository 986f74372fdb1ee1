import { type Aggregate, InvalidQuery } from "@opsbuddy/contract/Timeseries"
import { Effect } from "effect"
import type { FieldEntry, MeasurementEntry } from "./Catalog.ts"
import { sum } from "./FloatRange.ts"
import { columnOf, ownTable } from "./OwnTable.ts"
import type { Column, Question } from "./Question.ts"
import type { SeriesGroups } from "./SeriesGroups.ts"
import { columnTypes, sharedTable } from "./SharedTables.ts"

/**
 * A question as SQL. Its columns are `g`, the number of the group; `slot`, which is a time for plain fields, a count of windows
 * since `origin`, or 0 where a group has one row; and `c0`, `c1`, ... It is in the order of groups and times.
 */
export interface Statement {
  readonly sql: string
  readonly parameters: ReadonlyArray<bigint>
  /** The start of the first window, or of the range. */
  readonly origin: bigint
  /** Whether the statement reads `membersTable`, with the columns `sid` and `g`. */
  readonly readsMembers: boolean
}

/** Where the caller puts the members of groups that are too many for the text of a statement. */
export const membersTable = "members"

/** So many members stand in the statement itself. */
const maxLiterals = 1000

interface Selected {
  readonly field: FieldEntry
  readonly aggregate: Aggregate | undefined
}

/** Users' words are not in the SQL: names are the catalog's, values are parameters. */
export const compile = Effect.fnUntraced(function* (
  question: Question,
  measurement: MeasurementEntry,
  groups: SeriesGroups
): Effect.fn.Return<Statement, InvalidQuery> {
  const selected: Array<Selected> = []
  for (const column of question.columns) selected.push(yield* resolve(measurement, column))
  const fields = [...new Set(selected.map(({ field }) => field))]
  const { aggregated, every, from, limit, order, to } = question
  const origin = every === undefined ? from : from - (((from % every) + every) % every)
  // Windows count from `origin`, so that the division is of positive numbers; in 128 bits where the range takes more than 63.
  const since = to - origin < 2n ** 63n && origin > -(2n ** 63n) ? `ts - (${origin})` : `ts::HUGEINT - (${origin})`
  const slot = every !== undefined ? `(${since}) // ${every}` : aggregated ? "0" : "ts"
  const single = groups.size === 1
  const { readsMembers, source } = withGroups(relation(measurement, fields, question), fields.length, groups)
  const columns = selected.map(({ aggregate, field }, index) => {
    const value = `v${fields.indexOf(field)}`
    return `${aggregate === undefined ? value : aggregates[aggregate](value, groups.single, field)} AS c${index}`
  })
  const sorting = `slot ${order}${aggregated ? "" : ", sid"}`
  const sql = [
    `SELECT g, ${slot} AS slot, ${columns.join(", ")}`,
    `FROM (${source})`,
    aggregated ? "GROUP BY g, slot" : "",
    limit === undefined || single ? "" : `QUALIFY row_number() OVER (PARTITION BY g ORDER BY ${sorting}) <= ${limit}`,
    `ORDER BY g, ${sorting}`,
    limit !== undefined && single ? `LIMIT ${limit}` : ""
  ]
  return { sql: sql.join("\n"), parameters: [from, to], origin, readsMembers }
})

/** The values of the fields as `v0`, `v1`, ..., with `ts` and `sid`, from wherever the measurement has them. */
const relation = (
  measurement: MeasurementEntry,
  fields: ReadonlyArray<FieldEntry>,
  { aggregated, from, to }: Pick<Question, "aggregated" | "from" | "to">
) => {
  const range = "ts >= $1 AND ts < $2"
  const parts: Array<string> = []
  const { table } = measurement
  const inTable = fields.filter((field) => field.inTable)
  const hasOwn = table !== undefined && inTable.length > 0 && to - 1n > table.after
  if (hasOwn) {
    const columns = fields.map((field, at) => `${field.inTable ? columnOf(field) : nothing(field)} AS v${at}`)
    const present = inTable.map((field) => `${columnOf(field)} IS NOT NULL`).join(" OR ")
    parts.push(`SELECT ts, sid, ${columns.join(", ")} FROM ${ownTable(measurement)} WHERE ${range} AND (${present})`)
  }
  // What is in the table's columns is newer than `after`; all else, and all that is older, is in the shared tables.
  const shared = table === undefined || from <= table.after ? fields : fields.filter((field) => !field.inTable)
  const byType = Map.groupBy(shared, (field) => field.type)
  for (const [type, ofType] of byType) {
    const alone = ofType.length === 1
    const columns = fields.map((field, at) => {
      const value =
        field.type !== type || !ofType.includes(field)
          ? nothing(field)
          : alone
            ? "v"
            : `CASE WHEN fid = ${field.id} THEN v END`
      return `${value} AS v${at}`
    })
    const ids = ofType.map((field) => field.id).join()
    const which = alone ? `fid = ${ids}` : `fid IN (${ids})`
    parts.push(`SELECT ts, sid, ${columns.join(", ")} FROM ${sharedTable(type)} WHERE ${which} AND ${range}`)
  }
  const sql = parts.join("\nUNION ALL ")
  const isSplit = shared.length > 1 || (hasOwn && shared.length > 0 && shared.length < fields.length)
  if (aggregated || !isSplit) return sql
  // A point's fields may come from several rows; aggregates take them as they are.
  const united = fields.map((_, at) => `any_value(v${at}) AS v${at}`)
  return `SELECT ts, sid, ${united.join(", ")} FROM (${sql}) GROUP BY ts, sid`
}

const nothing = (field: FieldEntry) => `NULL::${columnTypes[field.type]}`

/** Adds `g` to the rows, and leaves out those of other series. */
const withGroups = (rows: string, fields: number, { members, size }: SeriesGroups) => {
  const from = `(${rows})`
  if (members === undefined)
    return { source: `SELECT ts, sid, 0 AS g, ${values(fields)} FROM ${from}`, readsMembers: false }
  const readsMembers = members.sids.length > maxLiterals
  if (size === 1 && !readsMembers) {
    return {
      source: `SELECT ts, sid, 0 AS g, ${values(fields)} FROM ${from} WHERE sid IN (${members.sids.join()})`,
      readsMembers
    }
  }
  const joined = readsMembers
    ? membersTable
    : `(SELECT unnest([${members.sids.join()}]::INTEGER[]) AS sid, unnest([${members.groups.join()}]::INTEGER[]) AS g)`
  return { source: `SELECT ts, sid, g, ${values(fields)} FROM ${from} JOIN ${joined} USING (sid)`, readsMembers }
}

const values = (count: number) => Array.from({ length: count }, (_, at) => `v${at}`).join(", ")

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

const aggregates: Record<Aggregate, (value: string, alone: boolean, field: FieldEntry) => string> = {
  mean: (value, _, { range, type }) => (type === "float" ? `${sum(value, range)} / count(${value})` : `avg(${value})`),
  sum: (value, _, { range, type }) => (type === "float" ? sum(value, range) : `sum(${value})`),
  min: (value) => `min(${value})`,
  max: (value) => `max(${value})`,
  count: (value) => `count(${value})`,
  first: (value, alone) => `arg_min(${value}, ${moment(alone)})`,
  last: (value, alone) => `arg_max(${value}, ${moment(alone)})`
}
