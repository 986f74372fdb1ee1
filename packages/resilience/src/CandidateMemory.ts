import type { Candidate } from "./Balance.ts"

/** A number for each candidate, by id. Those that are gone are forgotten, so that it does not grow as addresses change. */
export interface CandidateMemory {
  readonly get: (candidate: Candidate) => number | undefined
  readonly set: (candidate: Candidate, value: number) => void
  /** Forgets candidates that are not in the list, once they outnumber those that are. */
  readonly prune: (present: ReadonlyArray<Candidate>) => void
}

export const make = (): CandidateMemory => {
  const values = new Map<string, number>()
  return {
    get: ({ id }) => values.get(id),
    set: ({ id }, value) => values.set(id, value),
    prune: (present) => {
      if (values.size <= 2 * present.length + 16) return
      const ids = new Set(present.map(({ id }) => id))
      for (const id of values.keys()) if (!ids.has(id)) values.delete(id)
    }
  }
}
