import type { Candidate } from "../src/Balance.ts"

/** Targets named t0, t1 and so on, with the weights given and nothing under way. */
export const targets = (weights: ReadonlyArray<number>): Array<Candidate> =>
  weights.map((weight, i) => ({ id: `t${i}`, weight, inFlight: 0 }))

/** The list as the choosers take it, which is never empty. */
export const some = <T>(list: ReadonlyArray<T>): readonly [T, ...Array<T>] => {
  const [first, ...rest] = list
  if (first === undefined) throw new Error("an empty list of targets")
  return [first, ...rest]
}
