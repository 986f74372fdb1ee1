import { assert, describe, it } from "@effect/vitest"
import * as Balance from "../src/Balance.ts"

describe("roundRobin", () => {
  it("gives each target the same number of calls", () => {
    const balance = Balance.roundRobin<string>()
    const chosen = Array.from({ length: 9 }, () => balance.choose(["a", "b", "c"]))
    assert.deepStrictEqual(chosen, ["a", "b", "c", "a", "b", "c", "a", "b", "c"])
  })

  it("chooses among the targets of the moment when the list shrinks", () => {
    const balance = Balance.roundRobin<string>()
    balance.choose(["a", "b", "c"])
    balance.choose(["a", "b", "c"])
    balance.choose(["a", "b", "c"])
    assert.include(["a", "b"], balance.choose(["a", "b"]))
    assert.strictEqual(balance.choose(["a"]), "a")
  })
})
