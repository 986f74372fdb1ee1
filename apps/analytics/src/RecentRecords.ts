import type { RequestRecord } from "@opsbuddy/contract/Analytics"

/**
 * Remembers the newest of the stored records by id and time, so that the store need not be asked about each record that
 * comes: nearly all are new, and newer than what is there.
 */
export interface RecentRecords {
  /**
   * Tells those that are not stored, once each, from those that only the store can tell. What is stored is in neither. `here` keeps
   * what is fresh from one part of a transaction to the next.
   */
  readonly sort: (
    records: ReadonlyArray<RequestRecord>,
    here?: Map<string, number>
  ) => {
    readonly fresh: ReadonlyArray<RequestRecord>
    readonly unknown: ReadonlyArray<RequestRecord>
  }
  /** To be told of all that has been stored since `make`. */
  readonly add: (records: ReadonlyArray<RequestRecord>) => void
}

interface Generation {
  /** An id with one of its times. */
  readonly times: Map<string, number>
  newest: number
}

/** Remembers up to twice `generation` records; `newest` is the time of the newest record that is stored already. */
export const make = (newest: number, generation = 10_000): RecentRecords => {
  const begin = (): Generation => ({ times: new Map(), newest: Number.NEGATIVE_INFINITY })
  // All stored records after `since` are in one of the two.
  let since = newest
  let older = begin()
  let younger = begin()

  return {
    sort: (records, here = new Map()) => {
      const fresh: Array<RequestRecord> = []
      const unknown: Array<RequestRecord> = []
      for (const record of records) {
        const { requestId, timestamp } = record
        const time = timestamp.epochMilliseconds
        const known = here.get(requestId) ?? younger.times.get(requestId) ?? older.times.get(requestId)
        if (known === time) continue
        if (known !== undefined || time <= since) unknown.push(record)
        else {
          fresh.push(record)
          here.set(requestId, time)
        }
      }
      return { fresh, unknown }
    },
    add: (records) => {
      for (const { requestId, timestamp } of records) {
        younger.times.set(requestId, timestamp.epochMilliseconds)
        younger.newest = Math.max(younger.newest, timestamp.epochMilliseconds)
      }
      if (younger.times.size < generation) return
      since = Math.max(since, older.newest)
      older = younger
      younger = begin()
    }
  }
}
