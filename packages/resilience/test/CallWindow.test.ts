import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as CallWindow from "../src/CallWindow.ts"

describe("CallWindow", () => {
  it.prop(
    "counts the last calls and their failures",
    { outcomes: Schema.Array(Schema.Boolean), size: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })) },
    ({ outcomes, size }) => {
      const window = CallWindow.make(size)
      for (const [i, failed] of outcomes.entries()) {
        window.push(failed)
        const last = outcomes.slice(0, i + 1).slice(-size)
        assert.deepStrictEqual([window.calls(), window.failures()], [last.length, last.filter(Boolean).length])
      }
      window.clear()
      window.push(false)
      assert.deepStrictEqual([window.calls(), window.failures()], [1, 0])
    },
    { arbitrary: { runs: 200, size: 40 } }
  )
})
