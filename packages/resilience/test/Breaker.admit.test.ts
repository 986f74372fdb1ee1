import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as Breaker from "../src/Breaker.ts"

const policy = (changes: Partial<Breaker.BreakerPolicy> = {}): Breaker.BreakerPolicy => ({
  ...Breaker.defaultPolicy,
  consecutiveFailures: 3,
  ...changes
})

const failure: Breaker.Outcome = { _tag: "Failure", reason: "refused" }
const success: Breaker.Outcome = { _tag: "Success" }

/** Admits or fails the test. */
const permit = (breaker: Breaker.Breaker, now: number): Breaker.Permit => {
  const answer = breaker.admit(now)
  return "end" in answer ? answer : assert.fail(`refused: ${answer._tag}`)
}

describe("Breaker.admit", () => {
  it.effect("counts a permit's first end only", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy())
      const call = permit(breaker, 0)
      for (let i = 0; i < 5; i++) call.end(failure, 0)
      assert.strictEqual(breaker.status(0).consecutiveFailures, 1)
    })
  )

  it.effect("takes no result of a call that was admitted before the circuit opened", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy({ consecutiveFailures: 1 }))
      const [early, late] = [permit(breaker, 0), permit(breaker, 0)]
      permit(breaker, 0).end(failure, 0)
      early.end(success, 1)
      assert.strictEqual(breaker.status(1).state, "open")
      permit(breaker, 60_000).end(success, 60_000)
      late.end(failure, 60_001)
      assert.strictEqual(breaker.status(60_001).state, "closed")
      assert.strictEqual(breaker.status(60_001).consecutiveFailures, 0)
    })
  )

  it.effect("opens by the share of failures, once there are calls enough", () =>
    Effect.gen(function* () {
      const failureRate = { threshold: 0.5, minimumCalls: 4, calls: 10 }
      const breaker = yield* Breaker.make("shop", policy({ consecutiveFailures: undefined, failureRate }))
      const causes: Array<string> = []
      breaker.onTransition(({ cause }) => causes.push(cause))
      for (const one of [failure, failure, success]) permit(breaker, 0).end(one, 0)
      assert.strictEqual(breaker.status(0).state, "closed")
      permit(breaker, 0).end(success, 0)
      assert.strictEqual(breaker.status(0).state, "open")
      assert.deepStrictEqual(causes, ["2 of the last 4 calls failed, the last: refused"])
    })
  )

  it.effect("counts a slow success as a failure, by its own measure", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy({ slowCall: Duration.seconds(2), consecutiveFailures: 1 }))
      permit(breaker, 0).end(success, 2000)
      assert.strictEqual(breaker.status(2000).state, "closed")
      permit(breaker, 5000).end(success, 7001)
      const { lastFailure, state } = breaker.status(7001)
      assert.deepStrictEqual([state, lastFailure], ["open", "took 2001 ms, longer than 2000 ms"])
    })
  )

  it.effect("holds a forced circuit against failures, probes and health checks, until it is released", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy({ consecutiveFailures: 1 }))
      breaker.force("open", "maintenance", 5)
      breaker.halfOpen(6, "a health check passed")
      assert.deepStrictEqual(breaker.admit(1e9), { _tag: "ForcedOpen", retryAfterMillis: undefined })
      assert.strictEqual(breaker.status(6).forcedReason, "maintenance")
      breaker.force("closed", "it must run", 7)
      for (let i = 0; i < 9; i++) permit(breaker, 8).end(failure, 8)
      assert.deepStrictEqual(
        [breaker.status(9).state, breaker.status(9).lastFailure, breaker.status(9).since],
        ["forced-closed", "refused", 7]
      )
      breaker.release(10, "all is well")
      const { consecutiveFailures, forcedReason, state } = breaker.status(10)
      assert.deepStrictEqual([state, consecutiveFailures, forcedReason], ["closed", 0, undefined])
      permit(breaker, 11).end(failure, 11)
      breaker.release(12, "it is not forced")
      assert.strictEqual(breaker.status(12).state, "open")
    })
  )

  it.effect("tells every change of state with its time and cause, until the listener leaves", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy({ consecutiveFailures: 2 }))
      const seen: Array<string> = []
      const leave = breaker.onTransition(({ at, cause, from, to }) => seen.push(`${at} ${from} ${to}: ${cause}`))
      permit(breaker, 1).end(failure, 2)
      permit(breaker, 3).end(failure, 4)
      const probe = permit(breaker, 60_004)
      probe.end(failure, 60_005)
      breaker.halfOpen(60_006, "2 health checks passed")
      permit(breaker, 60_007).end(success, 60_009)
      breaker.force("open", "maintenance", 60_010)
      breaker.force("open", "still maintenance", 60_011)
      breaker.release(60_012, "done")
      leave()
      breaker.force("open", "unheard", 60_013)
      assert.deepStrictEqual(seen, [
        "4 closed open: 2 failures in a row, the last: refused",
        "60004 open half-open: open for 60000 ms",
        "60005 half-open open: the probe failed: refused",
        "60006 open half-open: 2 health checks passed",
        "60009 half-open closed: the probe succeeded in 2 ms",
        "60010 closed forced-open: forced open: maintenance",
        "60012 forced-open closed: released: done"
      ])
    })
  )
})
