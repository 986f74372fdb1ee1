import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as OutputHead from "../src/OutputHead.ts"

const Byte = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
const Chunks = Schema.Array(Schema.Array(Byte).check(Schema.isMaxLength(20)))
const Cap = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))

const outputOf = (chunks: ReadonlyArray<Uint8Array>, keepBytes: number) => {
  const head = OutputHead.make(keepBytes)
  for (const chunk of chunks) head.push(chunk)
  return head.output()
}

const encoder = new TextEncoder()

describe("OutputHead", () => {
  it.prop(
    "gives the same text and counts for the same bytes, whatever chunks they come in",
    [Chunks, Cap],
    ([chunks, cap]) => {
      const bytes = Uint8Array.from(chunks.flat())
      const whole = outputOf([bytes], cap)
      assert.deepStrictEqual(
        outputOf(
          chunks.map((chunk) => Uint8Array.from(chunk)),
          cap
        ),
        whole
      )
      assert.deepStrictEqual(
        outputOf(
          [...bytes].map((byte) => Uint8Array.of(byte)),
          cap
        ),
        whole
      )
      assert.strictEqual(whole.bytes, bytes.length)
      assert.strictEqual(whole.truncated, bytes.length > cap)
    }
  )

  it.prop("keeps the longest run of whole characters that fits", [Schema.String, Cap], ([text, cap]) => {
    const characters = [...text.toWellFormed()]
    let expected = ""
    for (const character of characters) {
      if (encoder.encode(expected + character).length > cap) break
      expected += character
    }
    assert.strictEqual(outputOf([encoder.encode(text)], cap).text, expected)
  })

  it("replaces what is not UTF-8 and keeps a byte order mark", () => {
    assert.deepStrictEqual(outputOf([Uint8Array.of(0xef, 0xbb, 0xbf, 0xff, 0x61, 0x00, 0xe2, 0x82)], 100), {
      text: "\ufeff\ufffda\u0000\ufffd",
      bytes: 8,
      truncated: false
    })
  })

  it("takes bytes that only look like a character's end as they are at the cut", () => {
    assert.strictEqual(outputOf([Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80)], 4).text, "\ufffd\ufffd\ufffd\ufffd")
  })

  it("copies what it keeps", () => {
    const head = OutputHead.make(10)
    const chunk = encoder.encode("ab")
    head.push(chunk)
    chunk.fill(0)
    assert.strictEqual(head.output().text, "ab")
  })

  it("counts far beyond the cap without keeping it", () => {
    const head = OutputHead.make(1000)
    const chunk = new Uint8Array(1024 * 1024).fill(0x61)
    for (let pushed = 0; pushed < 3000; pushed++) head.push(chunk)
    assert.deepStrictEqual(head.output(), { text: "a".repeat(1000), bytes: 3000 * 1024 * 1024, truncated: true })
  })
})
