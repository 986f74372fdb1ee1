import { Clock, Duration, Effect, type Exit, Layer, type Scope, type Stream } from "effect"
import { CircuitBreaker } from "effect/persistence"

/** When a circuit opens, and for how long. */
export interface BreakerPolicy {
  /** Failures in a row, in the order in which calls end. */
  readonly consecutiveFailures: number
  /** How long calls are refused before one probe is let through. */
  readonly openFor: Duration.Input
}

export const defaultPolicy: BreakerPolicy = { consecutiveFailures: 5, openFor: "60 seconds" }

/** What a call means to the circuit; `reason` is kept as the last failure. `ignored` leaves the circuit as it is. */
export type Outcome =
  | { readonly _tag: "Success" }
  | { readonly _tag: "Failure"; readonly reason: string }
  | { readonly _tag: "Ignored" }

/** How a circuit stands. `retryAfter` is the time until a probe is let through, when open. */
export interface BreakerStatus {
  readonly state: "closed" | "open" | "half-open"
  readonly consecutiveFailures: number
  readonly lastFailure: string | undefined
  readonly retryAfter: Duration.Duration | undefined
}

/** Guards the calls to one upstream. */
export interface Breaker {
  /**
   * Runs the call unless the circuit is open or a probe is under way; then it fails with `CircuitBreakerError` and does
   * not run. An interrupted call is ignored, and an interrupted probe lets the next call be the probe.
   */
  readonly protect: <A, E, R>(
    call: Effect.Effect<A, E, R>,
    outcome: (exit: Exit.Exit<A, E>) => Outcome
  ) => Effect.Effect<A, E | CircuitBreaker.CircuitBreakerError, R>
  readonly status: Effect.Effect<BreakerStatus>
  /** Ends the open time now: the next call is the probe. Does nothing while the circuit is not open. */
  readonly halfOpen: Effect.Effect<void>
  /** Every change of state, from now on. */
  readonly transitions: Stream.Stream<CircuitBreaker.Transition>
}

/** The same clock with its wall time ahead. */
const later =
  (by: Duration.Duration) =>
  (clock: Clock.Clock): Clock.Clock => {
    const millis = () => clock.currentTimeMillisUnsafe() + Duration.toMillis(by)
    return Object.assign(Object.create(clock), {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis)
    })
  }

/**
 * A store whose open circuits can be moved to half-open before their time, which effect's breaker has no call for: the
 * next admission is asked of the memory store with a clock that is past the open time.
 */
const makeStore = Effect.gen(function* () {
  const memory = yield* CircuitBreaker.CircuitBreakerStore
  let early = false
  const store = CircuitBreaker.CircuitBreakerStore.of({
    ...memory,
    admit: (key) =>
      Effect.suspend(() => {
        if (!early) return memory.admit(key)
        early = false
        return Effect.flatMap(memory.state(key), (state) =>
          state._tag === "Open"
            ? Effect.updateService(memory.admit(key), Clock.Clock, later(state.retryAfter))
            : memory.admit(key)
        )
      }),
    state: (key) =>
      Effect.map(memory.state(key), (state) =>
        early && state._tag === "Open"
          ? { _tag: "HalfOpen", key, probing: false, consecutiveOpenings: state.consecutiveOpenings }
          : state
      )
  })
  const halfOpen = (key: string) =>
    Effect.map(memory.state(key), (state) => {
      early = state._tag === "Open"
    })
  return { store, halfOpen }
}).pipe(Effect.provide(CircuitBreaker.layerStoreMemory({ idleTimeToLive: Duration.infinity })))

const classified = (outcome: Outcome) => {
  if (outcome._tag === "Ignored") return CircuitBreaker.ignored
  return outcome._tag === "Success" ? CircuitBreaker.success : CircuitBreaker.failure()
}

/** Makes the breaker of one upstream, on effect's `CircuitBreaker`. */
export const make = Effect.fnUntraced(function* (
  key: string,
  policy: BreakerPolicy = defaultPolicy
): Effect.fn.Return<Breaker, never, Scope.Scope> {
  const { halfOpen, store } = yield* makeStore
  const breaker = yield* CircuitBreaker.make({
    tripPolicy: CircuitBreaker.consecutive(policy.consecutiveFailures),
    openDuration: policy.openFor
  }).pipe(Effect.provide(Layer.succeed(CircuitBreaker.CircuitBreakerStore, store)))
  let consecutiveFailures = 0
  let lastFailure: string | undefined

  const note = (outcome: Outcome) => {
    if (outcome._tag === "Success") consecutiveFailures = 0
    if (outcome._tag === "Failure") {
      consecutiveFailures++
      lastFailure = outcome.reason
    }
    return classified(outcome)
  }

  const status = Effect.map(
    Effect.orDie(breaker.state(key)),
    (state): BreakerStatus => ({
      state: state._tag === "Open" ? "open" : state._tag === "HalfOpen" ? "half-open" : "closed",
      consecutiveFailures,
      lastFailure,
      retryAfter: state._tag === "Open" ? state.retryAfter : undefined
    })
  )

  return {
    protect: (call, outcome) => breaker.execute(call, { key, classify: (exit) => note(outcome(exit)) }),
    status,
    halfOpen: Effect.orDie(halfOpen(key)),
    transitions: breaker.transitions
  }
})
