/** Upper bounds of the histogram's buckets, in milliseconds. */
export const bounds = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000]

/** What is counted of one route's requests, from the start of the process. Durations are from head to head, in milliseconds. */
export interface RouteMetrics {
  /** By class of status: index 2 is 2xx; 499 is counted under 4. */
  readonly statuses: Float64Array
  /** By bucket, the last one without an upper bound. */
  readonly durations: Float64Array
  durationSum: number
  /** The gateway's own answers by the name of the problem. */
  readonly causes: Map<string, number>
  retries: number
  requestBytes: number
  responseBytes: number
}

export const make = (): RouteMetrics => ({
  statuses: new Float64Array(6),
  durations: new Float64Array(bounds.length + 1),
  durationSum: 0,
  causes: new Map(),
  retries: 0,
  requestBytes: 0,
  responseBytes: 0
})

/** Counts one request that has its answer. */
export const record = (metrics: RouteMetrics, status: number, cause: string | undefined, durationMillis: number) => {
  const index = Math.floor(status / 100)
  metrics.statuses[index] = (metrics.statuses[index] ?? 0) + 1
  let bucket = 0
  while (bucket < bounds.length && durationMillis > (bounds[bucket] ?? 0)) bucket++
  metrics.durations[bucket] = (metrics.durations[bucket] ?? 0) + 1
  metrics.durationSum += durationMillis
  if (cause !== undefined) metrics.causes.set(cause, (metrics.causes.get(cause) ?? 0) + 1)
}
