import { type Duration, Effect, type Exit } from "effect"
import type { CircuitBreaker } from "effect/persistence"
import type { Breaker, Outcome } from "./Breaker.ts"
import type { Concurrency, Overloaded } from "./Concurrency.ts"
import { type DeadlineExceeded, within } from "./Deadline.ts"
import type { RateLimited, RateLimitPolicy, RateLimitStoreGone, RateLimits } from "./RateLimit.ts"
import { type RetryBudget, type RetryPolicy, retry } from "./Retry.ts"

/** The policies around a call that fails with `E`; one that is left out does not apply. */
export interface Policies<E> {
  readonly rateLimit?: { readonly limits: RateLimits; readonly key: string; readonly policy: RateLimitPolicy }
  readonly concurrency?: Concurrency
  readonly breaker?: {
    readonly breaker: Breaker
    readonly outcome: (exit: Exit.Exit<unknown, E | DeadlineExceeded>) => Outcome
  }
  /** For all attempts together, and the waits between them. */
  readonly deadline?: Duration.Duration
  readonly retry?: {
    readonly policy: RetryPolicy
    readonly budget: RetryBudget
    readonly while: (error: E) => boolean
    readonly retryAfter?: (error: E) => Duration.Duration | undefined
  }
}

/** What the policies themselves fail with. */
export type Refusal =
  | RateLimited
  | RateLimitStoreGone
  | Overloaded
  | CircuitBreaker.CircuitBreakerError
  | DeadlineExceeded

/**
 * Puts the policies around a call, outermost first: rate limit, concurrency, breaker, deadline, retry. So a refused call
 * takes no place, a call that waits for a place is not yet measured, and the breaker sees one outcome for all attempts.
 */
export const compose =
  <E>(policies: Policies<E>) =>
  <A, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | Refusal, R> => {
    const { breaker, concurrency, deadline, rateLimit } = policies
    const retried =
      policies.retry === undefined ? call : retry(policies.retry.policy, policies.retry.budget, policies.retry)(call)
    const bounded: Effect.Effect<A, E | DeadlineExceeded, R> =
      deadline === undefined ? retried : within(deadline)(retried)
    const protectedCall: Effect.Effect<A, E | Refusal, R> =
      breaker === undefined ? bounded : breaker.breaker.protect(bounded, breaker.outcome)
    const limited = concurrency === undefined ? protectedCall : concurrency.limit(protectedCall)
    return rateLimit === undefined
      ? limited
      : Effect.andThen(rateLimit.limits.consume(rateLimit.key, rateLimit.policy), limited)
  }
