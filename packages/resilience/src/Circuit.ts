import { Duration } from "effect"
import type { Breaker, BreakerPolicy, BreakerState, BreakerTransition, Outcome, Permit, Rejection } from "./Breaker.ts"
import * as CallWindow from "./CallWindow.ts"

/** The state of one breaker, without effects: the one place that decides whether a call may run. */
export interface Circuit extends Omit<Breaker, "protect"> {
  readonly probing: (now: number) => boolean
}

const forcedOpen: Rejection = { _tag: "ForcedOpen", retryAfterMillis: undefined }
const probeUnderWay: Rejection = { _tag: "ProbeUnderWay", retryAfterMillis: undefined }

/** A class, so that a permit is one small object and no closure. */
class Call implements Permit {
  readonly generation: number
  readonly startedAt: number
  private settle: ((call: Call, outcome: Outcome, now: number) => void) | undefined

  constructor(generation: number, startedAt: number, settle: (call: Call, outcome: Outcome, now: number) => void) {
    this.generation = generation
    this.startedAt = startedAt
    this.settle = settle
  }

  end(outcome: Outcome, now: number): void {
    const settle = this.settle
    this.settle = undefined
    settle?.(this, outcome, now)
  }
}

export const makeCircuit = (policy: BreakerPolicy, madeAt: number): Circuit => {
  const openForMillis = Duration.toMillis(policy.openFor)
  const probeTimeoutMillis = Duration.toMillis(policy.probeTimeout)
  const slowMillis = policy.slowCall === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(policy.slowCall)
  const rate = policy.failureRate
  const window = rate === undefined ? undefined : CallWindow.make(rate.calls)
  const listeners = new Set<(transition: BreakerTransition) => void>()

  let state: BreakerState = "closed"
  let since = madeAt
  // A permit of an earlier generation belongs to a state that is over, and counts for nothing.
  let generation = 0
  let openUntil = 0
  let probeUntil = 0
  let consecutiveFailures = 0
  let lastFailure: string | undefined
  let forcedReason: string | undefined

  const become = (to: BreakerState, at: number, cause: string) => {
    const from = state
    state = to
    since = at
    generation++
    probeUntil = 0
    window?.clear()
    if (to === "closed") consecutiveFailures = 0
    if (to === "open") openUntil = at + openForMillis
    for (const listener of listeners) listener({ from, to, at, cause })
  }

  const tripCause = (): string | undefined => {
    if (policy.consecutiveFailures !== undefined && consecutiveFailures >= policy.consecutiveFailures) {
      return `${consecutiveFailures} failures in a row, the last: ${lastFailure}`
    }
    if (rate === undefined || window === undefined || window.calls() < rate.minimumCalls) return undefined
    const [calls, failures] = [window.calls(), window.failures()]
    if (failures === 0 || failures / calls < rate.threshold) return undefined
    return `${failures} of the last ${calls} calls failed, the last: ${lastFailure}`
  }

  const settle = (call: Call, outcome: Outcome, now: number) => {
    if (call.generation !== generation) return
    if (outcome._tag === "Ignored") {
      if (state !== "half-open") return
      generation++
      probeUntil = 0
      return
    }
    const took = now - call.startedAt
    const slow = outcome._tag === "Success" && took > slowMillis
    const failure = slow ? `took ${took} ms, longer than ${slowMillis} ms` : "reason" in outcome && outcome.reason
    if (failure === false) consecutiveFailures = 0
    else {
      consecutiveFailures++
      lastFailure = failure
    }
    if (state === "half-open") {
      if (failure === false) return become("closed", now, `the probe succeeded in ${took} ms`)
      return become("open", now, `the probe failed: ${failure}`)
    }
    if (state !== "closed") return
    window?.push(failure !== false)
    const cause = tripCause()
    if (cause !== undefined) become("open", now, cause)
  }

  const probe = (now: number): Permit => {
    generation++
    probeUntil = now + probeTimeoutMillis
    return new Call(generation, now, settle)
  }

  return {
    admit: (now) => {
      switch (state) {
        case "closed":
        case "forced-closed":
          return new Call(generation, now, settle)
        case "forced-open":
          return forcedOpen
        case "half-open":
          return now < probeUntil ? probeUnderWay : probe(now)
        case "open":
          if (now < openUntil) return { _tag: "Open", retryAfterMillis: openUntil - now }
          become("half-open", now, `open for ${openForMillis} ms`)
          return probe(now)
      }
    },
    status: (now) => ({
      state,
      since,
      consecutiveFailures,
      lastFailure,
      retryAfter: state === "open" ? Duration.millis(Math.max(0, openUntil - now)) : undefined,
      forcedReason
    }),
    probing: (now) => state === "half-open" && now < probeUntil,
    halfOpen: (now, cause) => {
      if (state === "open") become("half-open", now, cause)
    },
    force: (to, reason, now) => {
      forcedReason = reason
      if (state !== `forced-${to}`) become(`forced-${to}`, now, `forced ${to}: ${reason}`)
    },
    release: (now, reason) => {
      if (forcedReason === undefined) return
      forcedReason = undefined
      become("closed", now, `released: ${reason}`)
    },
    onTransition: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}
