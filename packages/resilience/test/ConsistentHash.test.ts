import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as ConsistentHash from "../src/ConsistentHash.ts"
import { some, targets } from "./targets.ts"

const keys = Array.from({ length: 4000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
const count = Schema.Int.check(Schema.isBetween({ minimum: 2, maximum: 12 }))
const index = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 11 }))

describe("ConsistentHash", () => {
  it.prop("sends a key to the same target, whatever the order of the list", { key: Schema.String }, ({ key }) => {
    const list = targets([1, 1, 1, 1, 1])
    const chosen = ConsistentHash.make().choose(some(list), key)
    assert.strictEqual(ConsistentHash.make().choose(some(list.toReversed()), key), chosen)
  })

  it.prop(
    "moves only the keys of a target that goes, about 1/n of all, and brings them back with it",
    { count, index },
    ({ count, index }) => {
      const all = targets(Array.from({ length: count }, () => 1))
      const gone = all[index % count]
      const left = all.filter((target) => target !== gone)
      const balance = ConsistentHash.make()
      let moved = 0
      for (const key of keys) {
        const before = balance.choose(some(all), key)
        const after = balance.choose(some(left), key)
        if (before === gone) moved++
        else assert.strictEqual(after, before)
        assert.strictEqual(balance.choose(some(all), key), before)
      }
      assert.approximately(moved / keys.length, 1 / count, 0.05)
    },
    { arbitrary: { runs: 30 } }
  )

  it("shares the keys by weight", () => {
    const list = targets([1, 2, 5, 0])
    const balance = ConsistentHash.make()
    const chosen = keys.map((key) => balance.choose(some(list), key).id)
    const share = (id: string) => chosen.filter((other) => other === id).length / keys.length
    assert.approximately(share("t0"), 1 / 8, 0.03)
    assert.approximately(share("t1"), 2 / 8, 0.03)
    assert.approximately(share("t2"), 5 / 8, 0.03)
    assert.strictEqual(share("t3"), 0)
  })

  it("lets calls without a key take turns", () => {
    const balance = ConsistentHash.make()
    const list = some(targets([1, 1]))
    const chosen = Array.from({ length: 4 }, () => balance.choose(list).id)
    assert.deepStrictEqual(chosen, ["t0", "t1", "t0", "t1"])
  })
})
