import { Clock, Duration, Effect } from "effect"
import { RateLimiter } from "effect/persistence"

interface Bucket {
  tokens: number
  lastRefill: number
  fullAt: number
}

/**
 * effect's memory store, whose token buckets are forgotten when they are full again: a full bucket is as good as none. The
 * store of effect keeps every key for ever, which does not do where keys are the addresses of clients. When there are
 * `maxKeys` buckets (at least 1024) that are not full, the quarter that was used longest ago is dropped, and starts full.
 */
export const make = (
  maxKeys = 100_000
): Effect.Effect<{ readonly store: RateLimiter.RateLimiterStore["Service"]; readonly keys: () => number }> =>
  Effect.gen(function* () {
    const memory = yield* RateLimiter.RateLimiterStore
    const buckets = new Map<string, Bucket>()
    let sweepAt = 1024

    const sweep = (now: number) => {
      for (const [key, { fullAt }] of buckets) if (fullAt <= now) buckets.delete(key)
      for (const key of buckets.keys()) {
        if (buckets.size <= maxKeys * 0.75) break
        buckets.delete(key)
      }
      // Far enough off that all sweeps together cost a call the reading of a few buckets.
      sweepAt = Math.min(maxKeys, Math.max(1024, 2 * buckets.size))
    }

    const store = RateLimiter.RateLimiterStore.of({
      ...memory,
      tokenBucket: ({ allowOverflow, key, limit, refillRate, tokens }) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const refillMillis = Duration.toMillis(refillRate)
          const bucket = buckets.get(key) ?? { tokens: limit, lastRefill: now, fullAt: now }
          const refills = Math.floor((now - bucket.lastRefill) / refillMillis)
          if (refills > 0) {
            bucket.tokens = Math.min(limit, bucket.tokens + refills)
            bucket.lastRefill += refills * refillMillis
          }
          if (bucket.tokens >= limit) bucket.lastRefill = now
          const left = bucket.tokens - tokens
          if (left >= 0 || allowOverflow) bucket.tokens = left
          bucket.fullAt = bucket.lastRefill + (limit - bucket.tokens) * refillMillis
          // Moves the key to the end, which keeps the map in the order of use.
          buckets.delete(key)
          if (buckets.size >= sweepAt) sweep(now)
          buckets.set(key, bucket)
          return [left, Math.max(0, now - bucket.lastRefill)] as const
        })
    })
    return { store, keys: () => buckets.size }
  }).pipe(Effect.provide(RateLimiter.layerStoreMemory))
