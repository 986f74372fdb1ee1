import type { Balance, Candidate } from "./Balance.ts"
import * as RoundRobin from "./RoundRobin.ts"

/** FNV-1a over UTF-16 units, from a state. http://www.isthe.com/chongo/tech/comp/fnv/ */
const fnv1a = (text: string, state = 0x811c9dc5): number => {
  let hash = state
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}

/** MurmurHash3's last step, which spreads what FNV leaves in the low bits. https://github.com/aappleby/smhasher */
const mix = (hash: number): number => {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/**
 * Rendezvous hashing by weight: the same key goes to the same target, and when a target goes or comes only its own keys move.
 * Calls without a key take turns. https://datatracker.ietf.org/doc/html/draft-ietf-bess-weighted-hrw
 */
export const make = <T extends Candidate>(): Balance<T> => {
  const turns = RoundRobin.make<T>()
  return {
    choose: (candidates, key) => {
      if (key === undefined) return turns.choose(candidates)
      const start = fnv1a(key)
      let chosen = candidates[0]
      let highest = Number.NEGATIVE_INFINITY
      for (const candidate of candidates) {
        const uniform = (mix(fnv1a(candidate.id, start)) + 0.5) / 2 ** 32
        const score = candidate.weight / -Math.log(uniform)
        if (score > highest) {
          chosen = candidate
          highest = score
        }
      }
      return chosen
    }
  }
}
