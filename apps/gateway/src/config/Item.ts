import { Duration } from "effect"
import type { Located, Mapping, Path } from "./Located.ts"
import type { Fault } from "./Mistake.ts"

/** An upstream or a route as it stands in a document. `filled` is there when every value of it is well formed. */
export interface Item<Filled> {
  readonly name: string
  readonly from: "built-in" | "file"
  readonly path: Path
  readonly disabled: boolean
  readonly written: Located
  /** With its defaults. */
  readonly effective: Mapping
  readonly filled: Filled | undefined
}

/** Says what is wrong at a path within an item. */
export const faultIn =
  ({ from, path }: Item<unknown>) =>
  (within: Path, reason: string, at: Fault["at"] = "value"): Fault => ({ from, path: [...path, ...within], at, reason })

export const unknownDisabled = (kind: "upstream" | "route", builtIn: ReadonlyArray<string>) =>
  `is no built-in ${kind} to disable: those are ${builtIn.join(", ")}`

type Named = readonly [name: string, value: Duration.Duration]

/** Both times stand, or by default would stand, under the path within the item. */
export const atMost = (
  item: Item<unknown>,
  within: Path,
  [name, value]: Named,
  [limitName, limit]: Named
): ReadonlyArray<Fault> =>
  Duration.isGreaterThan(value, limit)
    ? [faultIn(item)([...within, name], `must be at most ${limitName}, which is ${Duration.format(limit)}`)]
    : []
