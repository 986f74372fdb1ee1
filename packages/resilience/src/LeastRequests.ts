import type { Balance, Candidate } from "./Balance.ts"

/**
 * Of two taken at random, the one with fewer calls under way for its weight; when both are as busy, either, by weight. Two
 * are enough to keep the load even, and unlike the least of all they do not draw every gateway to the same target
 * (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"). `random` is from 0 to below 1.
 */
export const make = <T extends Candidate>(random: () => number = Math.random): Balance<T> => ({
  choose: (candidates) => {
    const count = candidates.length
    if (count === 1) return candidates[0]
    const first = Math.floor(random() * count)
    // One of the others: the two are never the same.
    const second = (first + 1 + Math.floor(random() * (count - 1))) % count
    const a = candidates[first] ?? candidates[0]
    const b = candidates[second] ?? candidates[0]
    // inFlight / weight of each, without dividing by a weight of 0.
    const difference = a.inFlight * b.weight - b.inFlight * a.weight
    if (difference !== 0) return difference < 0 ? a : b
    return random() * (a.weight + b.weight) < a.weight ? a : b
  }
})
