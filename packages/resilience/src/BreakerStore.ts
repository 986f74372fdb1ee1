import { Clock, Context, Duration, Effect } from "effect"
import { CircuitBreaker } from "effect/persistence"
import type { BreakerPolicy, Outcome, Permit, Rejection } from "./Breaker.ts"
import type { Circuit } from "./Circuit.ts"

/** The call that a fiber runs. effect's breaker tells its store a tag alone; the rest of the outcome is kept here. */
export interface Call {
  permit: Permit | undefined
  outcome: Outcome
}

export const CurrentCall = Context.Reference<Call>("@opsbuddy/resilience/BreakerStore/CurrentCall", {
  defaultValue: () => newCall()
})

export const newCall = (): Call => ({ permit: undefined, outcome: { _tag: "Ignored" } })

/** Keeps the outcome for the store, and tells effect's breaker its tag. */
export const classify = (call: Call, outcome: Outcome): CircuitBreaker.Outcome => {
  call.outcome = outcome
  if (outcome._tag === "Ignored") return CircuitBreaker.ignored
  return outcome._tag === "Success" ? CircuitBreaker.success : CircuitBreaker.failure()
}

/** One circuit as a store of effect's breaker. Its key is that of the circuit, whatever it is. */
export const make = (circuit: Circuit, policy: BreakerPolicy): CircuitBreaker.CircuitBreakerStore["Service"] => {
  const refused = (key: string, rejection: Rejection) => {
    if (rejection._tag === "ProbeUnderWay") return new CircuitBreaker.CircuitHalfOpen({ key })
    // Nobody knows when a circuit that is held open is let go: asking again after the usual time does no harm.
    const retryAfter =
      rejection.retryAfterMillis === undefined ? policy.openFor : Duration.millis(rejection.retryAfterMillis)
    return new CircuitBreaker.CircuitOpen({ key, retryAfter })
  }
  return {
    admit: (key) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const answer = circuit.admit(now)
        if (!("end" in answer)) {
          return Effect.fail(new CircuitBreaker.CircuitBreakerError({ reason: refused(key, answer) }))
        }
        return Effect.map(CurrentCall, (call): CircuitBreaker.Admission => {
          call.permit = answer
          return { generation: 0, probe: false, consecutiveOpenings: 0, transition: undefined }
        })
      }),
    record: ({ outcome }) =>
      Effect.flatMap(CurrentCall, (call) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          call.permit?.end(call.outcome._tag === outcome ? call.outcome : { _tag: "Ignored" }, now)
          return undefined
        })
      ),
    state: (key) =>
      Effect.map(Clock.currentTimeMillis, (now): CircuitBreaker.State => {
        const { retryAfter, state } = circuit.status(now)
        if (state === "closed" || state === "forced-closed") return { _tag: "Closed", key }
        if (state === "half-open")
          return { _tag: "HalfOpen", key, probing: circuit.probing(now), consecutiveOpenings: 1 }
        return { _tag: "Open", key, retryAfter: retryAfter ?? policy.openFor, consecutiveOpenings: 1 }
      })
  }
}
