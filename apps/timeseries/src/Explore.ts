import { Aggregate, InvalidQuery, type Query, type Selection } from "@opsbuddy/contract/Timeseries"
import { Effect } from "effect"

/** The parameters of the contract's `explore`, as they are decoded. */
export interface Parameters extends Omit<Partial<Query>, "select" | "where"> {
  readonly select?: ReadonlyArray<string>
  readonly where?: ReadonlyArray<string>
}

/** How to ask, for people who open the address in a browser. */
export const usage =
  "?measurement=NAME&select=mean(FIELD)&where=TAG:VALUE&from=-1h&to=now&every=5m&groupBy=TAG&order=asc&limit=100, or POST the same as JSON; " +
  `select, where and groupBy may be repeated; aggregates are ${Aggregate.literals.join(", ")}`

const aggregate = new RegExp(`^(${Aggregate.literals.join("|")})\\((.+)\\)$`, "s")

/** The query that the parameters say. */
export const toQuery = Effect.fnUntraced(function* (parameters: Parameters): Effect.fn.Return<Query, InvalidQuery> {
  const { measurement, select = [], where = [], ...rest } = parameters
  if (measurement === undefined) return yield* missing("measurement", "name one; without any parameter all are listed")
  const [first, ...others] = select.map(selection)
  if (first === undefined) return yield* missing("select", "name a field, or an aggregate such as mean(FIELD)")
  const tags = new Map<string, Array<string>>()
  for (const condition of where) {
    const colon = condition.indexOf(":")
    if (colon < 1) return yield* missing("where", `"${condition}" is not TAG:VALUE`)
    const tag = condition.slice(0, colon)
    tags.set(tag, [...(tags.get(tag) ?? []), condition.slice(colon + 1)])
  }
  return {
    ...rest,
    measurement,
    select: [first, ...others],
    ...(tags.size === 0 ? {} : { where: Object.fromEntries(tags) })
  }
})

const missing = (field: string, detail: string) => new InvalidQuery({ field, detail: `${field}: ${detail}` })

const selection = (text: string): Selection => {
  const [, name, field] = aggregate.exec(text) ?? []
  const known = Aggregate.literals.find((literal) => literal === name)
  return known === undefined || field === undefined ? { field: text } : { field, aggregate: known }
}
