import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as RoundRobin from "../src/RoundRobin.ts"
import { some, targets } from "./targets.ts"

const subsets = Schema.Array(Schema.Array(Schema.Boolean).check(Schema.isMinLength(5), Schema.isMaxLength(5)))

describe("RoundRobin", () => {
  it("gives each target the same number of calls, in turn", () => {
    const balance = RoundRobin.make()
    const list = some(targets([1, 1, 1]))
    const chosen = Array.from({ length: 7 }, () => balance.choose(list).id)
    assert.deepStrictEqual(chosen, ["t0", "t1", "t2", "t0", "t1", "t2", "t0"])
  })

  it("goes by the id, also where the list is made anew for each call", () => {
    const balance = RoundRobin.make()
    const chosen = Array.from({ length: 4 }, () => balance.choose(some(targets([1, 1]))).id)
    assert.deepStrictEqual(chosen, ["t0", "t1", "t0", "t1"])
  })

  it("gives a target that comes or comes back its turn at once, and no more than its turn", () => {
    const balance = RoundRobin.make()
    const [a, b, c] = some(targets([1, 1, 1]))
    for (let i = 0; i < 100; i++) balance.choose([a, ...(b ? [b] : [])])
    const chosen = Array.from({ length: 6 }, () => balance.choose(some([a, b, c].filter((t) => t !== undefined))).id)
    assert.deepStrictEqual(chosen, ["t2", "t0", "t1", "t2", "t0", "t1"])
  })

  it.prop(
    "chooses nobody twice between two turns of one that was there all along, however the list changes",
    { subsets },
    ({ subsets }) => {
      const all = targets([1, 1, 1, 1, 1, 1])
      const [always, ...others] = some(all)
      const balance = RoundRobin.make()
      let since: Array<string> = []
      for (const subset of subsets) {
        const list = [...others.filter((_, i) => subset[i]), always]
        const { id } = balance.choose(some(list))
        if (id === always.id) since = []
        else {
          assert.notInclude(since, id)
          since.push(id)
        }
      }
    },
    { arbitrary: { runs: 300, size: 60 } }
  )
})
