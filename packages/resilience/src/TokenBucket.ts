import { Data, Duration, Effect } from "effect"
import type { RateLimiter } from "effect/persistence"

/** `rate` calls `per` that time, and up to `burst` at once after a pause. One key is used with one policy. */
export interface RateLimitPolicy {
  readonly rate: number
  readonly per: Duration.Duration
  /** At least 1. */
  readonly burst: number
}

export const defaultPolicy: RateLimitPolicy = { rate: 100, per: Duration.seconds(1), burst: 200 }

/** What is left to a key after a call. */
export interface Quota {
  /** The largest number of calls at once. */
  readonly limit: number
  readonly remaining: number
  /** Until `remaining` is `limit` again, without further calls. */
  readonly resetAfterMillis: number
  /** Who counted; `none` where a lost store lets everything pass. */
  readonly store: "local" | "shared" | "none"
}

/** The key has used up its calls; the next is let through after `retryAfterMillis`. */
export class RateLimited extends Data.TaggedError("RateLimited")<{
  readonly limit: number
  readonly retryAfterMillis: number
  readonly resetAfterMillis: number
  readonly store: "local" | "shared"
}> {}

/** Takes one call from the key's bucket, which holds `burst` and fills in the time in which `rate` brings as many. */
export const take = (
  limiter: RateLimiter.RateLimiter,
  store: "local" | "shared",
  key: string,
  { burst, per, rate }: RateLimitPolicy
): Effect.Effect<Quota, RateLimited | RateLimiter.RateLimiterError> =>
  limiter
    .consume({
      algorithm: "token-bucket",
      onExceeded: "fail",
      key,
      limit: burst,
      window: Duration.times(per, burst / rate)
    })
    .pipe(
      Effect.map(({ limit, remaining, resetAfter }) => ({
        limit,
        remaining,
        resetAfterMillis: Math.ceil(Duration.toMillis(resetAfter)),
        store
      })),
      Effect.catchReason("RateLimiterError", "RateLimitExceeded", ({ limit, retryAfter }) => {
        const untilNext = Duration.toMillis(retryAfter)
        const untilFull = untilNext + (limit - 1) * (Duration.toMillis(per) / rate)
        return Effect.fail(
          new RateLimited({
            limit,
            retryAfterMillis: Math.ceil(untilNext),
            resetAfterMillis: Math.ceil(untilFull),
            store
          })
        )
      })
    )
