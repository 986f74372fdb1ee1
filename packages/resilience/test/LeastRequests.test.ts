import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as LeastRequests from "../src/LeastRequests.ts"
import { some } from "./targets.ts"

const target = Schema.Struct({
  weight: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })),
  inFlight: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))
})
const loads = Schema.Array(target).check(Schema.isMinLength(2), Schema.isMaxLength(8))
const fraction = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999 }))

const scripted = (values: ReadonlyArray<number>) => {
  const left = [...values]
  return () => left.shift() ?? 0
}

describe("LeastRequests", () => {
  it.prop(
    "takes two different targets and never chooses the busier, for its weight",
    { loads, first: fraction, second: fraction, tie: fraction },
    ({ first, loads, second, tie }) => {
      const list = some(loads.map((load, i) => ({ id: `t${i}`, ...load })))
      const a = Math.floor(first * list.length)
      const b = (a + 1 + Math.floor(second * (list.length - 1))) % list.length
      assert.notStrictEqual(a, b)
      const chosen = LeastRequests.make(scripted([first, second, tie])).choose(list)
      const pair = [list[a], list[b]].filter((t) => t !== undefined)
      assert.include(pair, chosen)
      const least = Math.min(...pair.map(({ inFlight, weight }) => inFlight / weight))
      assert.strictEqual(chosen.inFlight / chosen.weight, least)
    },
    { arbitrary: { runs: 500 } }
  )

  it.prop("with two targets always chooses the less busy one", { loads, seed: fraction }, ({ loads, seed }) => {
    const list = some(loads.slice(0, 2).map((load, i) => ({ id: `t${i}`, ...load })))
    const chosen = LeastRequests.make(() => seed).choose(list)
    const least = Math.min(...list.map(({ inFlight, weight }) => inFlight / weight))
    assert.strictEqual(chosen.inFlight / chosen.weight, least)
  })

  it("shares idle targets by weight, and keeps calls that do not end away from each other", () => {
    const list = [
      { id: "light", weight: 1, inFlight: 0 },
      { id: "heavy", weight: 3, inFlight: 0 }
    ] as const
    const balance = LeastRequests.make<(typeof list)[number]>()
    const heavy = Array.from({ length: 4000 }, () => balance.choose(list)).filter(({ id }) => id === "heavy").length
    // 3000 on average, with a deviation of 27.
    assert.approximately(heavy, 3000, 200)

    const held = Array.from({ length: 10 }, (_, i) => ({ id: `t${i}`, weight: 1, inFlight: 0 }))
    const holding = LeastRequests.make<(typeof held)[number]>()
    for (let i = 0; i < 1000; i++) holding.choose(some(held)).inFlight++
    for (const { inFlight } of held) assert.approximately(inFlight, 100, 10)
  })

  it("gives a weight of 0 nothing beside a target that has weight and is idle", () => {
    const none = { id: "none", weight: 0, inFlight: 0 }
    const balance = LeastRequests.make()
    for (let i = 0; i < 100; i++)
      assert.strictEqual(balance.choose([none, { id: "one", weight: 1, inFlight: 0 }]).id, "one")
    assert.strictEqual(balance.choose([none]).id, "none")
  })
})
