import { assert, describe, it } from "@effect/vitest"
import * as CandidateMemory from "../src/CandidateMemory.ts"
import { targets } from "./targets.ts"

describe("CandidateMemory", () => {
  it("knows candidates by id, and forgets those that are gone once they outnumber the others", () => {
    const memory = CandidateMemory.make()
    const present = targets([1, 1])
    const gone = Array.from({ length: 1000 }, (_, i) => ({ id: `gone-${i}`, weight: 1, inFlight: 0 }))
    for (const [i, candidate] of [...present, ...gone].entries()) {
      memory.set(candidate, i)
      memory.prune(present)
    }
    assert.deepStrictEqual(targets([1, 1]).map(memory.get), [0, 1])
    assert.isBelow(gone.filter((candidate) => memory.get(candidate) !== undefined).length, 20)
  })
})
