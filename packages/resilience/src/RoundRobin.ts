import type { Balance, Candidate } from "./Balance.ts"
import * as CandidateMemory from "./CandidateMemory.ts"

/**
 * The one that was chosen longest ago; of those that never were, the first. A position in the list would do only while
 * the list stays: this way nobody is chosen twice between two turns of one that was there all along.
 */
export const make = <T extends Candidate>(): Balance<T> => {
  const lastTurn = CandidateMemory.make()
  let turn = 0
  return {
    choose: (candidates) => {
      let chosen = candidates[0]
      let earliest = Number.POSITIVE_INFINITY
      for (const candidate of candidates) {
        const last = lastTurn.get(candidate) ?? 0
        if (last < earliest) {
          chosen = candidate
          earliest = last
        }
      }
      lastTurn.set(chosen, ++turn)
      lastTurn.prune(candidates)
      return chosen
    }
  }
}
