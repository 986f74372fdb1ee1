/** The last answers' times in milliseconds, in a ring of `capacity`. */
export interface Latency {
  readonly samples: Float64Array
  count: number
}

const capacity = 512

export const make = (): Latency => ({ samples: new Float64Array(capacity), count: 0 })

export const record = (latency: Latency, millis: number) => {
  latency.samples[latency.count++ % capacity] = millis
}

/** Nearest-rank percentiles over the ring; `undefined` before the first answer. */
export const summary = (latency: Latency) => {
  const samples = Math.min(latency.count, capacity)
  if (samples === 0) return undefined
  const sorted = latency.samples.slice(0, samples).sort()
  const at = (percentile: number) => sorted[Math.ceil(percentile * samples) - 1] ?? 0
  return { samples, p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}
