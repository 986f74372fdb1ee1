import { Duration, Effect, Random, Schedule } from "effect"

/** How often a call is tried again, and how long is waited before. */
export interface RetryPolicy {
  /** In all, with the first. */
  readonly attempts: number
  /** Retries per request, over all requests: while everything fails, the upstream sees at most this much more. */
  readonly budget: number
  readonly backoff: { readonly base: Duration.Duration; readonly max: Duration.Duration }
}

export const defaultPolicy: RetryPolicy = {
  attempts: 2,
  budget: 0.2,
  backoff: { base: Duration.millis(25), max: Duration.seconds(1) }
}

/** What bounds the retries of all requests together. It starts empty, so the first failures are not retried. */
export interface RetryBudget {
  /** Once a request. At most 100 tokens are kept. */
  readonly deposit: () => void
  /**
   * Takes one token for one retry, if there is one. Up to `credit` tokens are lent, which later deposits pay back: for callers
   * that know that the retry does not add to the load of what fails.
   */
  readonly withdraw: (credit?: number) => boolean
  readonly tokens: () => number
}

const unit = 1_000_000

export const makeBudget = (ratio: number): RetryBudget => {
  // Whole millionths: a sum of fractions would drift, and let through a retry too many or one too few.
  const share = Math.floor(ratio * unit + 0.001)
  let millionths = 0
  return {
    deposit: () => {
      millionths = Math.min(millionths + share, 100 * unit)
    },
    withdraw: (credit = 0) => {
      if (millionths + credit * unit < unit) return false
      millionths -= unit
      return true
    },
    tokens: () => millionths / unit
  }
}

/**
 * Milliseconds before retry number `n`, from 1: anything up to a limit that doubles and is capped, and never less than what
 * the upstream asked for. `random` is from 0 to 1. For callers without a fiber; `retry` does the same with a `Schedule`.
 */
export const delayMillis = (policy: RetryPolicy, n: number, random: () => number, retryAfterMillis = 0): number => {
  const limit = Math.min(Duration.toMillis(policy.backoff.base) * 2 ** (n - 1), Duration.toMillis(policy.backoff.max))
  return Math.max(random() * limit, retryAfterMillis)
}

/**
 * Tries a call again while `while` holds, the budget has a token and attempts are left. Give it only calls that may run
 * twice.
 */
export const retry =
  <E>(
    policy: RetryPolicy,
    budget: RetryBudget,
    options: {
      readonly while: (error: E) => boolean
      readonly retryAfter?: ((error: E) => Duration.Duration | undefined) | undefined
    }
  ) =>
  <A, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const backoff = Schedule.min([Schedule.exponential(policy.backoff.base), Schedule.spaced(policy.backoff.max)]).pipe(
      Schedule.setInputType<E>(),
      Schedule.upTo({ times: policy.attempts - 1 }),
      Schedule.modifyDelay(({ duration, input }) =>
        Effect.map(Random.next, (random) =>
          Duration.max(Duration.times(duration, random), options.retryAfter?.(input) ?? Duration.zero)
        )
      ),
      // Last, so that no token is taken for a retry that is not made.
      Schedule.while(({ input }) => options.while(input) && budget.withdraw())
    )
    return Effect.suspend(() => {
      budget.deposit()
      return Effect.retry(call, backoff)
    })
  }
