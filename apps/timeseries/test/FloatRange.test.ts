import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { emptyRange, sum, widen } from "../src/FloatRange.ts"

const rangeOf = (...values: ReadonlyArray<number>) => {
  const range = emptyRange()
  for (const value of values) widen(range, value)
  const { highest, lowest } = range
  return [lowest, highest]
}

describe("FloatRange", () => {
  it("knows the lowest and the highest bit of values, down to the smallest and up to the largest", () => {
    assert.deepStrictEqual(rangeOf(1), [0, 1])
    assert.deepStrictEqual(rangeOf(0.75, -6), [-2, 3])
    assert.deepStrictEqual(rangeOf(100), [2, 7])
    assert.deepStrictEqual(rangeOf(Number.MIN_VALUE), [-1074, -1022])
    assert.deepStrictEqual(rangeOf(Number.MAX_VALUE), [971, 1024])
    assert.deepStrictEqual(rangeOf(0, -0), [1024, -1075])
  })

  it.prop("has every value in its range", [Schema.Array(Schema.Finite)], ([values]) => {
    const [lowest = 0, highest = 0] = rangeOf(...values)
    for (const value of values) {
      if (value === 0) continue
      const [own = 0, top = 0] = rangeOf(value)
      assert.isTrue(lowest <= own && highest >= top)
      // In two steps, because the power may be more than a float holds.
      const scaled = value / 2 ** Math.ceil(own / 2) / 2 ** Math.floor(own / 2)
      assert.isTrue(Number.isInteger(scaled) && Math.abs(scaled % 2) === 1 && Math.abs(scaled) < 2 ** (top - own))
    }
  })

  it("adds as cheaply as is exact", () => {
    const sumOf = (...values: ReadonlyArray<number>) => {
      const range = emptyRange()
      for (const value of values) widen(range, value)
      return sum("v", range)
    }
    assert.strictEqual(sumOf(1, 2, 100), "sum(v)")
    assert.strictEqual(sumOf(21.5, 80.1), "sum((v * pow(2, 45))::BIGINT)::DOUBLE * pow(2, -45)")
    assert.match(sumOf(1e-3, 0.1, 1e6), /^[^+]*HUGEINT[^+]*$/)
    assert.match(sumOf(1e-17, 1e9), /HUGEINT.*\+.*HUGEINT/)
    assert.match(sumOf(1e-300, 1e300), /ORDER BY/)
  })
})
