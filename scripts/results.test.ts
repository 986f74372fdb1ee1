import { assert, describe, it } from "vitest"
import type { RunResults } from "./results.ts"
import { isEmpty, line, ofProcess, sum } from "./results.ts"

const results = (passed: number, failed: number, skipped: number): RunResults => ({
  passed,
  failed,
  skipped: Array.from({ length: skipped }, (_, index) => ({ name: `test ${index}` }))
})

describe("results", () => {
  it("add up over all runs", () => {
    assert.strictEqual(
      line(sum([results(3, 0, 1), results(4, 2, 0), results(0, 1, 2)])),
      "7 passed, 3 failed, 3 skipped"
    )
  })

  it("count a process that wrote nothing as one failure, whatever its exit code", () => {
    assert.strictEqual(ofProcess(undefined, 0).failed, 1)
    assert.strictEqual(ofProcess(undefined, 137).failed, 1)
  })

  it("count an exit code without a failed test as one failure", () => {
    assert.deepStrictEqual(ofProcess(results(5, 0, 0), 1), results(5, 1, 0))
  })

  it("do not count a failed test twice because of the exit code", () => {
    assert.deepStrictEqual(ofProcess(results(5, 2, 0), 1), results(5, 2, 0))
  })

  it("are empty when everything was skipped", () => {
    assert.isTrue(isEmpty(results(0, 0, 4)))
    assert.isFalse(isEmpty(results(0, 1, 0)))
  })
})
