import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import * as Breaker from "../src/Breaker.ts"
import { makeModel } from "./BreakerModel.ts"

const tag = Schema.Literals(["Success", "Failure", "Failure", "Ignored"])
const command = Schema.Union([
  Schema.TaggedStruct("Admit", {}),
  Schema.TaggedStruct("Call", {
    outcome: tag,
    millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 }))
  }),
  Schema.TaggedStruct("End", { back: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 })), outcome: tag }),
  Schema.TaggedStruct("Wait", { millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1500 })) }),
  Schema.TaggedStruct("HalfOpen", {}),
  Schema.TaggedStruct("Force", { state: Schema.Literals(["open", "closed"]) }),
  Schema.TaggedStruct("Release", {})
])
const commands = Schema.Array(command)
const rules = Schema.Struct({ row: Schema.Boolean, rate: Schema.Boolean, slow: Schema.Boolean })

const policyOf = ({ rate, row, slow }: typeof rules.Type): Breaker.BreakerPolicy => ({
  consecutiveFailures: row ? 3 : undefined,
  failureRate: rate ? { threshold: 0.5, minimumCalls: 4, calls: 6 } : undefined,
  slowCall: slow ? Duration.millis(300) : undefined,
  openFor: Duration.seconds(2),
  probeTimeout: Duration.seconds(1)
})

const outcomeOf = (tag: Breaker.Outcome["_tag"]): Breaker.Outcome =>
  tag === "Failure" ? { _tag: tag, reason: "refused" } : { _tag: tag }

/** A breaker and its model side by side; every step is done to both, and both are compared after it. */
const sideBySide = Effect.fnUntraced(function* (policy: Breaker.BreakerPolicy) {
  const breaker = yield* Breaker.make("shop", policy)
  const model = makeModel(policy)
  const permits: Array<Breaker.Permit> = []
  const transitions: Array<Breaker.BreakerTransition> = []
  breaker.onTransition((transition) => transitions.push(transition))
  let now = 1_000_000

  const admit = () => {
    const answer = breaker.admit(now)
    assert.strictEqual("end" in answer ? "admitted" : answer._tag, model.admit(now))
    if ("end" in answer) permits.push(answer)
    return "end" in answer
  }
  const end = (index: number, outcome: Breaker.Outcome["_tag"]) => {
    permits[index]?.end(outcomeOf(outcome), now)
    model.end(index, outcome, now)
  }
  const run = (step: typeof command.Type) => {
    switch (step._tag) {
      case "Admit":
        return admit()
      case "Call": {
        if (!admit()) return
        now += step.millis
        return end(permits.length - 1, step.outcome)
      }
      case "End":
        return end(permits.length - 1 - step.back, step.outcome)
      case "Wait":
        now += step.millis
        return
      case "HalfOpen":
        breaker.halfOpen(now, "a health check passed")
        return model.halfOpen(now)
      case "Force":
        breaker.force(step.state, "by hand", now)
        return model.force(step.state, now)
      case "Release":
        breaker.release(now, "by hand")
        return model.release(now)
    }
  }
  const compare = () => {
    const { consecutiveFailures, retryAfter, since, state } = breaker.status(now)
    const retryAfterMillis = retryAfter && Duration.toMillis(retryAfter)
    assert.deepStrictEqual({ state, consecutiveFailures, retryAfterMillis }, model.status(now))
    const last = transitions.at(-1)
    assert.deepStrictEqual({ state, since }, { state: last?.to ?? "closed", since: last?.at ?? 0 })
  }
  return {
    breaker,
    transitions,
    permits,
    now: () => now,
    step: (one: typeof command.Type) => {
      run(one)
      compare()
    }
  }
})

describe("Breaker, against a model", () => {
  it.effect.prop(
    "does what the model does in any sequence, and tells each change of state once and in order",
    { rules, commands },
    ({ commands, rules }) =>
      Effect.gen(function* () {
        const both = yield* sideBySide(policyOf(rules))
        for (const one of commands) both.step(one)
        const chain = both.transitions.map(({ from }, i) => [from, both.transitions[i - 1]?.to ?? "closed"])
        for (const [from, before] of chain) assert.strictEqual(from, before)
      }),
    { arbitrary: { runs: 600, size: 80 } }
  )

  it.effect.prop(
    "lets a call through and closes by it, whatever was left without an end before",
    { rules, commands },
    ({ commands, rules }) =>
      Effect.gen(function* () {
        const both = yield* sideBySide(policyOf(rules))
        for (const one of commands) both.step(one)
        both.step({ _tag: "Release" })
        both.step({ _tag: "Wait", millis: 3000 })
        const before = both.permits.length
        both.step({ _tag: "Call", outcome: "Success", millis: 1 })
        assert.strictEqual(both.permits.length, before + 1)
        assert.notStrictEqual(both.breaker.status(both.now()).state, "half-open")
      }),
    { arbitrary: { runs: 300, size: 60 } }
  )
})
