import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ConfigText from "../src/ConfigText.ts"

describe("the text of a configuration", () => {
  it.effect("is the same JSON without white space, whatever it has, however long it is", () =>
    Effect.gen(function* () {
      const values = [
        { "a b": ["c d", '"', "\\", "\\\\", '\\" ', "\t\n", "\u2028", "{ [ , : ] }"] },
        [[], {}, [[{}]], { a: {}, b: [] }],
        Array.from({ length: 20_000 }, (_, index) => ({ index, text: ` ${index}, "x" ` }))
      ]
      for (const value of values) {
        for (const space of [undefined, 1, 10, "\t", "\r\n"]) {
          const text = JSON.stringify(value, null, space).replaceAll("\\u2028", "\u2028")
          const read = yield* ConfigText.read(space === undefined ? text : `\n ${text} \r\n`)
          assert.isTrue(read === JSON.stringify(value), String(space))
        }
      }
    })
  )

  it.effect("finds what does not fit behind any of the pieces that it is read in", () =>
    Effect.gen(function* () {
      for (const before of [0, 1, 13_106, 13_107, 13_108, 100_000]) {
        const text = `[${'"12345678",'.repeat(before)}{"a":1,"a":1}]`
        const problem = yield* Effect.flip(ConfigText.read(text))
        assert.deepStrictEqual(problem.errors, [{ path: ["payload", before], message: 'has the key "a" twice' }])
      }
    })
  )

  it.effect("is no text that JSON is not", () =>
    Effect.gen(function* () {
      for (const text of ["", " ", "{", "nul", "{}{}", "[1,]", "'a'", '"\u0001"', "\u00a01", "1e", "+1", ".5", "NaN"]) {
        const problem = yield* Effect.flip(ConfigText.read(text))
        assert.strictEqual(problem.detail, "payload: Expected a valid JSON body", text)
      }
    })
  )
})
