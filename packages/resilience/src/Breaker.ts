import { Clock, Duration, Effect, type Exit, type Scope } from "effect"
import { CircuitBreaker } from "effect/persistence"
import * as BreakerStore from "./BreakerStore.ts"
import { makeCircuit } from "./Circuit.ts"

/** When a circuit opens, and for how long. Either rule opens it. */
export interface BreakerPolicy {
  /** Failures in a row, in the order in which calls end; `undefined` switches the rule off. */
  readonly consecutiveFailures: number | undefined
  /** The share of failures (0 to 1) among the last `calls` calls, once there are `minimumCalls`. */
  readonly failureRate:
    | { readonly threshold: number; readonly minimumCalls: number; readonly calls: number }
    | undefined
  /** A call that takes longer counts as a failure, though it succeeds. */
  readonly slowCall: Duration.Duration | undefined
  /** How long calls are refused before one probe is let through. */
  readonly openFor: Duration.Duration
  /** A probe that has not ended after this time lets another call be the probe. */
  readonly probeTimeout: Duration.Duration
}

export const defaultPolicy: BreakerPolicy = {
  consecutiveFailures: 5,
  failureRate: undefined,
  slowCall: undefined,
  openFor: Duration.seconds(60),
  probeTimeout: Duration.seconds(30)
}

/** What a call means to the circuit; `reason` is kept as the last failure. `Ignored` leaves the circuit as it is. */
export type Outcome =
  | { readonly _tag: "Success" }
  | { readonly _tag: "Failure"; readonly reason: string }
  | { readonly _tag: "Ignored" }

export type BreakerState = "closed" | "open" | "half-open" | "forced-open" | "forced-closed"

/** How a circuit stands. An open circuit stays `open` after its time, until the next call is the probe. */
export interface BreakerStatus {
  readonly state: BreakerState
  /** Milliseconds since the epoch. */
  readonly since: number
  readonly consecutiveFailures: number
  readonly lastFailure: string | undefined
  /** The time until a probe is let through; only while open. */
  readonly retryAfter: Duration.Duration | undefined
  readonly forcedReason: string | undefined
}

/** A call that may run. Whoever holds it ends it; call `end` as a method. */
export interface Permit {
  /** Tells how the call went. Only the first time counts, and nothing of it if the circuit has changed its state since. */
  readonly end: (outcome: Outcome, now: number) => void
}

/** A call that may not run. `retryAfterMillis` is there where the time is known: while open. */
export interface Rejection {
  readonly _tag: "Open" | "ProbeUnderWay" | "ForcedOpen"
  readonly retryAfterMillis: number | undefined
}

/** A change of state; `cause` is a sentence with the figures that led to it. */
export interface BreakerTransition {
  readonly from: BreakerState
  readonly to: BreakerState
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly cause: string
}

/** Guards the calls to one upstream. Every `now` is in milliseconds since the epoch. */
export interface Breaker {
  /**
   * Runs the call unless it is refused; then it fails with `CircuitBreakerError` and does not run. An interrupted call is
   * ignored, and an interrupted probe lets the next call be the probe.
   */
  readonly protect: <A, E, R>(
    call: Effect.Effect<A, E, R>,
    outcome: (exit: Exit.Exit<A, E>) => Outcome
  ) => Effect.Effect<A, E | CircuitBreaker.CircuitBreakerError, R>
  /** `protect` for callers that cannot afford a fiber; tell the two answers apart with `"end" in answer`. */
  readonly admit: (now: number) => Permit | Rejection
  readonly status: (now: number) => BreakerStatus
  /** Ends the open time now: the next call is the probe. Does nothing while the circuit is not open by itself. */
  readonly halfOpen: (now: number, cause: string) => void
  /** Holds the circuit: `open` refuses every call, `closed` admits every call and still notes failures. */
  readonly force: (state: "open" | "closed", reason: string, now: number) => void
  /** Lets go of a forced circuit: closed, with no failures counted. Does nothing to one that is not forced. */
  readonly release: (now: number, reason: string) => void
  /** Calls the listener after each change of state, and returns what stops that. A listener must not throw. */
  readonly onTransition: (listener: (transition: BreakerTransition) => void) => () => void
}

/** Makes the breaker of one upstream, on effect's `CircuitBreaker`. */
export const make = Effect.fnUntraced(function* (
  key: string,
  policy: BreakerPolicy = defaultPolicy
): Effect.fn.Return<Breaker, never, Scope.Scope> {
  const circuit = makeCircuit(policy, yield* Clock.currentTimeMillis)
  const store = BreakerStore.make(circuit, policy)
  // The store goes by the whole policy; the rule given here, of which there can be but one, is never asked.
  const breaker = yield* CircuitBreaker.make({
    tripPolicy: CircuitBreaker.consecutive(1),
    openDuration: policy.openFor
  }).pipe(Effect.provideService(CircuitBreaker.CircuitBreakerStore, store))
  return {
    ...circuit,
    protect: (call, outcome) =>
      Effect.suspend(() => {
        const current = BreakerStore.newCall()
        return Effect.provideService(
          breaker.execute(call, { key, classify: (exit) => BreakerStore.classify(current, outcome(exit)) }),
          BreakerStore.CurrentCall,
          current
        )
      })
  }
})
