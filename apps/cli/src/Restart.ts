import { Schedule } from "effect"

/** The wait before each further start: 0.2 s, doubled each time up to 8 s, give or take a fifth. */
export const backoff = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("8 seconds")]).pipe(
  Schedule.jittered
)

/** A service that was up for this long is started again at once, and its backoff begins anew. */
export const settledMillis = 60_000

/** This many ends within this time are a crash loop. */
export const crashLoop = { ends: 5, withinMillis: 60_000 }

/** The ends, given as milliseconds since the epoch in order, that are recent at `now`, with `now` as the last. */
export const recentEnds = (ends: ReadonlyArray<number>, now: number): ReadonlyArray<number> => [
  ...ends.filter((end) => now - end < crashLoop.withinMillis),
  now
]
