import type { Columns } from "@opsbuddy/columnar/Columnar"
import type { Series } from "@opsbuddy/contract/Timeseries"
import * as Moment from "./Moment.ts"
import type { Question } from "./Question.ts"
import type { SeriesGroups } from "./SeriesGroups.ts"
import type { SeriesPart } from "./SeriesStore.ts"

type Value = Series["rows"][number][number]

/** Makes what turns the chunks of a statement's result into parts of series. */
export const make = ({ aggregated, columns, every = 0n }: Question, groups: SeriesGroups, origin: bigint) => {
  let group = -1
  return (chunk: Columns): ReadonlyArray<SeriesPart> => {
    const [g = [], slots = [], ...values] = chunk.columns
    const parts: Array<SeriesPart & { readonly rows: Array<ReadonlyArray<Value>> }> = []
    for (let row = 0; row < chunk.rowCount; row++) {
      const number = Number(g[row])
      let part = parts.at(-1)
      if (part === undefined || number !== group) {
        part = { tags: groups.tags(number), continues: number === group, rows: [] }
        parts.push(part)
        group = number
      }
      const slot = integer(slots[row])
      const line: Array<Value> = [Moment.format(aggregated ? origin + slot * every : slot)]
      for (let at = 0; at < columns.length; at++) line.push(shown(values[at]?.[row] ?? null))
      part.rows.push(line)
    }
    return parts
  }
}

type Cell = Columns["columns"][number][number] | undefined

const integer = (cell: Cell) => (typeof cell === "bigint" || typeof cell === "number" ? BigInt(cell) : 0n)

/** JSON has no infinity, which a sum may reach, and no integers beyond 2^53 that every reader reads exactly. */
const shown = (cell: Cell): Value => {
  if (typeof cell === "bigint") {
    const number = Number(cell)
    return Number.isSafeInteger(number) ? number : String(cell)
  }
  if (typeof cell === "number") return Number.isFinite(cell) ? cell : null
  return typeof cell === "string" || typeof cell === "boolean" ? cell : null
}
