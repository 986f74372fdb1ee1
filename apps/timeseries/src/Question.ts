import { type Aggregate, InvalidQuery, type Query, type Selection, type Where } from "@opsbuddy/contract/Timeseries"
import { Clock, Effect } from "effect"
import * as Moment from "./Moment.ts"

/** A column of the answer after `time`. */
export interface Column {
  readonly field: string
  readonly aggregate: Aggregate | undefined
  readonly name: string
}

/** The series whose tag has one of these values; a series without the tag has the empty string. */
export interface TagMatch {
  readonly tag: string
  readonly values: ReadonlySet<string>
}

/**
 * A query that makes sense, with its times worked out: `from` is inside and `to` is outside, in nanoseconds since 1970. Either
 * all columns are aggregates or none is, and `every` is there only with aggregates.
 */
export interface Question {
  readonly measurement: string
  readonly columns: ReadonlyArray<Column>
  readonly aggregated: boolean
  readonly matches: ReadonlyArray<TagMatch>
  readonly from: bigint
  readonly to: bigint
  readonly every: bigint | undefined
  /** `undefined` when the query does not say. */
  readonly groupBy: ReadonlyArray<string> | undefined
  readonly order: "asc" | "desc"
  readonly limit: number | undefined
}

/** Reads a query of the contract. */
export const make = Effect.fnUntraced(function* (query: Query): Effect.fn.Return<Question, InvalidQuery> {
  const now = yield* Clock.currentTimeNanos
  const columns = query.select.map(column)
  const aggregated = columns.every((column) => column.aggregate !== undefined)
  if (!aggregated && columns.some((column) => column.aggregate !== undefined)) {
    return yield* invalid("select", "plain fields and aggregates cannot be mixed")
  }
  const names = ["time", ...columns.map((column) => column.name)]
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) return yield* invalid("select", `two columns are named "${twice}"; name one with "as"`)
  if (query.every !== undefined && !aggregated) return yield* invalid("every", "it needs aggregates, such as mean")
  const every = query.every === undefined ? undefined : Moment.parseDuration(query.every)
  if (every !== undefined && every > Moment.latest) return yield* invalid("every", "it is longer than 292 years")
  const from = yield* moment("from", query.from ?? "-1h", now)
  const to = yield* moment("to", query.to ?? "now", now)
  if (from >= to) return yield* invalid("from", `${Moment.format(from)} is not before "to", ${Moment.format(to)}`)
  return {
    measurement: query.measurement,
    columns,
    aggregated,
    matches: query.where === undefined ? [] : matches(query.where),
    from,
    to,
    every,
    groupBy: query.groupBy,
    order: query.order ?? "asc",
    limit: query.limit
  }
})

const invalid = (field: string, detail: string) => new InvalidQuery({ field, detail: `${field}: ${detail}` })

const moment = (field: string, text: string, now: bigint) => {
  const time = Moment.parseMoment(text, now)
  return time === undefined
    ? Effect.fail(invalid(field, `"${text}" is not now, a duration such as -1h, RFC 3339 or integer nanoseconds`))
    : Effect.succeed(time)
}

const column = ({ aggregate, as, field }: Selection): Column => ({
  field,
  aggregate,
  name: as ?? (aggregate === undefined ? field : `${aggregate}(${field})`)
})

const matches = (where: Where): ReadonlyArray<TagMatch> =>
  isCondition(where)
    ? [{ tag: where.tag, values: new Set([where.value].flat()) }]
    : Object.entries(where).map(([tag, value]) => ({ tag, values: new Set([value].flat()) }))

/** Tags may be named `tag`, `op` and `value` too; the contract reads as a condition what can be one. */
const isCondition = (where: Where): where is Extract<Where, { readonly value: string | ReadonlyArray<string> }> =>
  typeof where.tag === "string" &&
  Object.keys(where).length === 3 &&
  ((where.op === "=" && typeof where.value === "string") || (where.op === "in" && Array.isArray(where.value)))
