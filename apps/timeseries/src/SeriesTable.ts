import { earliest } from "./Moment.ts"

/** Older than any point, so that the first one of a series is new. */
export const never = earliest - 1n

type Key = string

/**
 * The series of one measurement, in the order in which they were first written; a series is its index. There may be millions, so
 * each costs its key, a place in one map and twelve bytes, and tags are read from the key when they are needed.
 */
export class SeriesTable {
  readonly #indexes = new Map<Key, number>()
  #sids = new Int32Array(4)
  #newest = new BigInt64Array(4)

  get size() {
    return this.#indexes.size
  }

  indexOf(key: Key) {
    return this.#indexes.get(key)
  }

  /** Adds a series that is not there yet, and gives its index. `newest` is the latest time that it has a point at. */
  add(key: Key, sid: number, newest = never) {
    const index = this.#indexes.size
    if (index === this.#sids.length) {
      const sids = new Int32Array(index * 2)
      sids.set(this.#sids)
      this.#sids = sids
      const times = new BigInt64Array(index * 2)
      times.set(this.#newest)
      this.#newest = times
    }
    this.#indexes.set(key, index)
    this.#sids[index] = sid
    this.#newest[index] = newest
    return index
  }

  /** Takes the latest series away again: `keys` are theirs. */
  remove(keys: Iterable<Key>) {
    for (const key of keys) this.#indexes.delete(key)
  }

  sid(index: number) {
    return this.#sids[index] ?? 0
  }

  newest(index: number) {
    return this.#newest[index] ?? never
  }

  /** Moves the latest time forward, never back. */
  advance(index: number, time: bigint) {
    if (time > this.newest(index)) this.#newest[index] = time
  }

  /** The latest time of all series. */
  latest() {
    let latest = never
    for (const time of this.#newest.subarray(0, this.size)) if (time > latest) latest = time
    return latest
  }

  /** The keys by index. */
  keys() {
    return this.#indexes.keys()
  }
}
