import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Weighted from "../src/Weighted.ts"
import { some, targets } from "./targets.ts"

const weights = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 }))).check(
  Schema.isMinLength(1),
  Schema.isMaxLength(8)
)

const count = (chosen: ReadonlyArray<string>, id: string) => chosen.filter((other) => other === id).length

describe("Weighted", () => {
  it("spreads the turns of a heavy target", () => {
    const balance = Weighted.make()
    const list = some(targets([5, 1, 1]))
    const chosen = Array.from({ length: 7 }, () => balance.choose(list).id)
    assert.deepStrictEqual(chosen, ["t0", "t0", "t1", "t0", "t2", "t0", "t0"])
  })

  it.prop("gives each target exactly its weight over every full cycle", { weights }, ({ weights }) => {
    const balance = Weighted.make()
    const list = some(targets(weights))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    for (let cycle = 0; cycle < 3; cycle++) {
      const chosen = Array.from({ length: total }, () => balance.choose(list).id)
      assert.deepStrictEqual(
        list.map(({ id }) => count(chosen, id)),
        weights.map((weight) => weight)
      )
    }
  })

  it("chooses among the targets of the moment, and answers when none has weight", () => {
    const balance = Weighted.make()
    const [heavy, light] = targets([9, 1])
    if (heavy === undefined || light === undefined) return assert.fail("two targets")
    for (let i = 0; i < 5; i++) balance.choose([heavy, light])
    assert.deepStrictEqual([balance.choose([light]).id, balance.choose([light]).id], ["t1", "t1"])
    assert.strictEqual(balance.choose(some(targets([0, 0]))).weight, 0)
  })
})
