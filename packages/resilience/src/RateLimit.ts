import { Cause, Clock, Data, Duration, Effect, Exit, type Scope } from "effect"
import { CircuitBreaker, RateLimiter } from "effect/persistence"
import * as Breaker from "./Breaker.ts"
import * as RateLimitStoreMemory from "./RateLimitStoreMemory.ts"
import { type Quota, RateLimited, type RateLimitPolicy, take } from "./TokenBucket.ts"

export { defaultPolicy, type Quota, RateLimited, type RateLimitPolicy } from "./TokenBucket.ts"

/** The shared store does not answer, and calls are refused meanwhile. */
export class RateLimitStoreGone extends Data.TaggedError("RateLimitStoreGone")<{
  readonly lastError: string
  readonly retryAfterMillis: number
}> {}

export interface RateLimitStatus {
  readonly store: "memory" | "shared"
  /** The shared store did not answer when it was last asked. */
  readonly gone: boolean
  /** Milliseconds since the epoch. */
  readonly since?: number
  readonly lastError?: string
}

export interface RateLimits {
  /** Takes one call from the key's. */
  readonly consume: (key: string, policy: RateLimitPolicy) => Effect.Effect<Quota, RateLimited | RateLimitStoreGone>
  readonly status: () => RateLimitStatus
}

export interface RateLimitOptions {
  /** Counts for several processes together; without it this process counts for itself. */
  readonly shared?: RateLimiter.RateLimiter | undefined
  /** What holds while the shared store is gone: this process's own count, no limit, or a refusal. */
  readonly whenGone: "local" | "allow" | "refuse"
  /** The longest wait for the shared store. */
  readonly sharedTimeout?: Duration.Duration | undefined
  /** Called when the shared store is gone, and when it is back. Must not throw. */
  readonly onChange?: ((status: RateLimitStatus) => void) | undefined
}

/** After three calls in a row without an answer the store is left alone, and then asked by one call at a time. */
const storePolicy: Breaker.BreakerPolicy = {
  ...Breaker.defaultPolicy,
  consecutiveFailures: 3,
  openFor: Duration.seconds(5),
  probeTimeout: Duration.seconds(5)
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** That a key has used up its calls is an answer too. */
const storeOutcome = (exit: Exit.Exit<unknown, unknown>): Breaker.Outcome => {
  if (Exit.isSuccess(exit)) return { _tag: "Success" }
  const error = Cause.squash(exit.cause)
  return error instanceof RateLimited ? { _tag: "Success" } : { _tag: "Failure", reason: messageOf(error) }
}

/** Makes rate limits, over a store that several processes share or over this process's memory. */
export const make = Effect.fnUntraced(function* (
  options: RateLimitOptions
): Effect.fn.Return<RateLimits, never, Scope.Scope> {
  const { shared, whenGone } = options
  const timeout = options.sharedTimeout ?? Duration.millis(100)
  const { store } = yield* RateLimitStoreMemory.make()
  const local = yield* Effect.provideService(RateLimiter.make, RateLimiter.RateLimiterStore, store)
  const breaker = yield* Breaker.make("rate limit store", storePolicy)
  let gone: { readonly since: number; readonly lastError: string } | undefined

  const fromLocal = (key: string, policy: RateLimitPolicy) =>
    // The memory store has no failure of its own.
    Effect.catchTag(take(local, "local", key, policy), "RateLimiterError", Effect.die)

  const withoutStore = Effect.fnUntraced(function* (
    key: string,
    policy: RateLimitPolicy
  ): Effect.fn.Return<Quota, RateLimited | RateLimitStoreGone> {
    if (whenGone === "local") return yield* fromLocal(key, policy)
    if (whenGone === "allow") {
      return { limit: policy.burst, remaining: policy.burst, resetAfterMillis: 0, store: "none" }
    }
    const retryAfter = breaker.status(yield* Clock.currentTimeMillis).retryAfter ?? storePolicy.openFor
    return yield* new RateLimitStoreGone({
      lastError: gone?.lastError ?? "",
      retryAfterMillis: Duration.toMillis(retryAfter)
    })
  })

  const status = (): RateLimitStatus => ({
    store: shared === undefined ? "memory" : "shared",
    gone: gone !== undefined,
    ...gone
  })

  const noteGone = Effect.fnUntraced(function* (lastError: string) {
    const since = gone?.since
    gone = { since: since ?? (yield* Clock.currentTimeMillis), lastError }
    if (since !== undefined) return
    options.onChange?.(status())
    yield* Effect.logWarning("rate limit store gone", { lastError, meanwhile: whenGone })
  })

  const noteBack = Effect.suspend(() => {
    if (gone === undefined) return Effect.void
    gone = undefined
    options.onChange?.(status())
    return Effect.logInfo("rate limit store back")
  })

  const fromShared = Effect.fnUntraced(function* (
    limiter: RateLimiter.RateLimiter,
    key: string,
    policy: RateLimitPolicy
  ): Effect.fn.Return<Quota, RateLimited | RateLimitStoreGone> {
    const asked = Effect.timeoutOrElse(take(limiter, "shared", key, policy), {
      duration: timeout,
      orElse: () => Effect.fail(new Error(`no answer within ${Duration.toMillis(timeout)} ms`))
    })
    const exit = yield* Effect.exit(breaker.protect(asked, storeOutcome))
    if (Exit.isSuccess(exit)) {
      yield* noteBack
      return exit.value
    }
    if (Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.interrupt
    const error = Cause.squash(exit.cause)
    if (error instanceof RateLimited) {
      yield* noteBack
      return yield* error
    }
    if (!(error instanceof CircuitBreaker.CircuitBreakerError)) yield* noteGone(messageOf(error))
    return yield* withoutStore(key, policy)
  })

  return {
    consume: (key, policy) => (shared === undefined ? fromLocal(key, policy) : fromShared(shared, key, policy)),
    status
  }
})
