/** What a balance may know of a target. */
export interface Candidate {
  /** Tells targets apart, also where lists are made anew. */
  readonly id: string
  /** Its share of the calls, relative to the others'; not below 0. */
  readonly weight: number
  /** Calls that are under way to it. */
  readonly inFlight: number
}

/** Chooses the target of the next call: `RoundRobin`, `LeastRequests`, `Weighted` or `ConsistentHash`. */
export interface Balance<T extends Candidate> {
  /** Synchronous, and never fails. The candidates may be others each time; `key` is what a consistent hash goes by. */
  readonly choose: (candidates: readonly [T, ...Array<T>], key?: string) => T
}
