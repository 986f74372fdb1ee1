import { Effect } from "effect"
import type { MeasurementEntry } from "./Catalog.ts"
import type { Tags } from "./Point.ts"
import type { Question } from "./Question.ts"

type TagEntries = Tags["entries"]

/** The series that a query is about, put together by the tags that it groups by, in the order of those tags. */
export interface SeriesGroups {
  readonly size: number
  /** The tags that all series of the group have in common, and that the result shows. */
  readonly tags: (group: number) => TagEntries
  /** The chosen series by id, each with its group beside; `undefined` where one group has all series of the measurement. */
  readonly members: { readonly sids: ReadonlyArray<number>; readonly groups: ReadonlyArray<number> } | undefined
  /** Whether each group is of one series. */
  readonly single: boolean
}

/** So many series are looked at between two turns of the event loop: some milliseconds. */
const slice = 4096

/** A store writes the key of a series as the JSON of its tags. */
export const tagsOfKey = (key: string) => JSON.parse(key) as TagEntries

/** Finds the series of a measurement and groups them; looks at each of them only where the query names tags. */
export const find = Effect.fnUntraced(function* (
  measurement: MeasurementEntry,
  { aggregated, groupBy, matches }: Pick<Question, "aggregated" | "groupBy" | "matches">
): Effect.fn.Return<SeriesGroups> {
  const { series } = measurement
  const names = groupBy ?? (aggregated ? [] : undefined)
  if (names?.length === 0 && matches.length === 0) {
    return { size: Math.min(1, series.size), tags: () => [], members: undefined, single: series.size === 1 }
  }
  const sids: Array<number> = []
  const groupOf: Array<number> = []
  const known = new Map<string, number>()
  const groups: Array<{ readonly number: number; readonly order: string; readonly key: string }> = []
  let index = -1
  for (const key of series.keys()) {
    index++
    if (index % slice === slice - 1) yield* Effect.yieldNow
    const tags = tagsOfKey(key)
    const valueOf = (name: string) => tags.find(([tag]) => tag === name)?.[1] ?? ""
    if (!matches.every(({ tag, values }) => values.has(valueOf(tag)))) continue
    // Without names each series is a group.
    const values = names?.map(valueOf)
    const identity = values === undefined ? key : JSON.stringify(values)
    let number = known.get(identity)
    if (number === undefined) {
      number = groups.length
      known.set(identity, number)
      groups.push({ number, order: (values ?? tags.flat()).join("\u0000"), key: identity })
    }
    sids.push(series.sid(index))
    groupOf.push(number)
  }
  const single = groups.length === sids.length
  const sorted = yield* sortInSlices(groups, (a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0))
  const place = new Uint32Array(groups.length)
  for (const [at, { number }] of sorted.entries()) place[number] = at
  yield* Effect.yieldNow
  for (let at = 0; at < groupOf.length; at++) {
    groupOf[at] = place[groupOf[at] ?? 0] ?? 0
    if (at % (slice * 16) === 0) yield* Effect.yieldNow
  }
  return {
    size: sorted.length,
    tags: (group) => {
      const { key = "[]" } = sorted[group] ?? {}
      if (names === undefined) return tagsOfKey(key)
      const values: ReadonlyArray<string> = JSON.parse(key)
      return names.map((name, at) => [name, values[at] ?? ""] as const)
    },
    members: { sids, groups: groupOf },
    single
  }
})

/** A stable merge sort that lets other work run in between. */
export const sortInSlices = Effect.fnUntraced(function* <A>(items: ReadonlyArray<A>, compare: (a: A, b: A) => number) {
  let runs: Array<ReadonlyArray<A>> = []
  for (let start = 0; start < items.length; start += slice) {
    runs.push(items.slice(start, start + slice).sort(compare))
    yield* Effect.yieldNow
  }
  while (runs.length > 1) {
    const merged: Array<ReadonlyArray<A>> = []
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(yield* merge(runs[at] ?? [], runs[at + 1] ?? [], compare))
    }
    runs = merged
  }
  return runs[0] ?? []
})

const merge = Effect.fnUntraced(function* <A>(
  left: ReadonlyArray<A>,
  right: ReadonlyArray<A>,
  compare: (a: A, b: A) => number
) {
  const merged: Array<A> = []
  let [i, j] = [0, 0]
  while (i < left.length || j < right.length) {
    const [a, b] = [left[i], right[j]]
    if (b === undefined || (a !== undefined && compare(a, b) <= 0)) {
      if (a !== undefined) merged.push(a)
      i++
    } else {
      merged.push(b)
      j++
    }
    if (merged.length % (slice * 4) === 0) yield* Effect.yieldNow
  }
  return merged
})
