import type { Balance, Candidate } from "./Balance.ts"
import * as CandidateMemory from "./CandidateMemory.ts"

/**
 * Smooth weighted round robin, as in nginx: over as many calls as the sum of the weights each gets exactly its weight, and a
 * heavy one's turns are spread, not in a row. A weight of 0 gets none while another has more.
 * https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1
 */
export const make = <T extends Candidate>(): Balance<T> => {
  const credits = CandidateMemory.make()
  return {
    choose: (candidates) => {
      let chosen = candidates[0]
      let most = Number.NEGATIVE_INFINITY
      let total = 0
      for (const candidate of candidates) {
        const credit = (credits.get(candidate) ?? 0) + candidate.weight
        credits.set(candidate, credit)
        total += candidate.weight
        if (credit > most) {
          chosen = candidate
          most = credit
        }
      }
      credits.set(chosen, most - total)
      credits.prune(candidates)
      return chosen
    }
  }
}
