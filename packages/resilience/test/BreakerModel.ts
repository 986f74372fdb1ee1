import { Duration } from "effect"
import type { BreakerPolicy, BreakerState, Outcome } from "../src/Breaker.ts"

interface ModelCall {
  readonly era: number
  readonly startedAt: number
  ended: boolean
}

/**
 * A circuit told by its history: every outcome that counts since it was last closed, in a list. Slow and plain, so that it
 * can be checked by reading.
 */
export const makeModel = (policy: BreakerPolicy) => {
  let state: BreakerState = "closed"
  let era = 0
  let openedAt = 0
  let probeSince: number | undefined
  let outcomes: Array<"Success" | "Failure"> = []
  const calls: Array<ModelCall> = []

  const enter = (next: BreakerState, now: number) => {
    state = next
    era++
    probeSince = undefined
    if (next === "open") openedAt = now
    if (next === "closed") outcomes = []
  }
  const openEnds = () => openedAt + Duration.toMillis(policy.openFor)

  const failing = () => {
    const { consecutiveFailures: row, failureRate: rate } = policy
    if (row !== undefined && outcomes.length >= row && outcomes.slice(-row).every((one) => one === "Failure"))
      return true
    if (rate === undefined) return false
    const last = outcomes.slice(-rate.calls)
    const failures = last.filter((one) => one === "Failure").length
    return last.length >= rate.minimumCalls && failures >= 1 && failures >= rate.threshold * last.length
  }

  const admit = (now: number): "admitted" | "Open" | "ProbeUnderWay" | "ForcedOpen" => {
    if (state === "forced-open") return "ForcedOpen"
    if (state === "open" && now < openEnds()) return "Open"
    if (state === "open") enter("half-open", now)
    if (state === "half-open") {
      if (probeSince !== undefined && now < probeSince + Duration.toMillis(policy.probeTimeout)) return "ProbeUnderWay"
      era++
      probeSince = now
    }
    calls.push({ era, startedAt: now, ended: false })
    return "admitted"
  }

  const end = (index: number, tag: Outcome["_tag"], now: number) => {
    const call = calls[index]
    if (call === undefined || call.ended) return
    call.ended = true
    if (call.era !== era) return
    if (tag === "Ignored") {
      if (state === "half-open") {
        era++
        probeSince = undefined
      }
      return
    }
    const slow = policy.slowCall !== undefined && now - call.startedAt > Duration.toMillis(policy.slowCall)
    const outcome = slow ? "Failure" : tag
    outcomes.push(outcome)
    if (state === "half-open") enter(outcome === "Success" ? "closed" : "open", now)
    else if (state === "closed" && failing()) enter("open", now)
  }

  return {
    admit,
    end,
    halfOpen: (now: number) => {
      if (state === "open") enter("half-open", now)
    },
    force: (to: "open" | "closed", now: number) => {
      if (state !== `forced-${to}`) enter(`forced-${to}`, now)
    },
    release: (now: number) => {
      if (state === "forced-open" || state === "forced-closed") enter("closed", now)
    },
    calls: () => calls.length,
    status: (now: number) => ({
      state,
      consecutiveFailures: outcomes.length - 1 - outcomes.lastIndexOf("Success"),
      retryAfterMillis: state === "open" ? Math.max(0, openEnds() - now) : undefined
    })
  }
}
