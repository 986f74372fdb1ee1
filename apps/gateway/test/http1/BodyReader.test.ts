import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { BodyReader, chunkOf, lastChunk } from "../../src/http1/BodyReader.ts"

/** Reads bytes that come in pieces which end at the given places. */
const read = (length: number | "chunked" | undefined, bytes: Buffer, cuts: ReadonlyArray<number>) => {
  const reader = new BodyReader(length)
  const body: Array<Buffer> = []
  let taken = 0
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1))), bytes.length].sort((a, b) => a - b)
  let from = 0
  for (const end of ends) {
    const piece = bytes.subarray(from, end)
    taken += reader.read(piece, 0, body)
    from = end
    if (reader.isWhole || reader.problem !== undefined) break
  }
  return { body: Buffer.concat(body), reader, taken }
}

const Cuts = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 })))
const Pieces = Schema.Array(Schema.String)

describe("A body", () => {
  it.prop(
    "of a length is its bytes, however they come, and nothing of what follows",
    { text: Schema.String, after: Schema.String, cuts: Cuts },
    ({ after, cuts, text }) => {
      const bytes = Buffer.from(text)
      const { body, reader, taken } = read(bytes.length, Buffer.concat([bytes, Buffer.from(after)]), cuts)
      assert.isTrue(body.equals(bytes))
      assert.deepStrictEqual([reader.isWhole, reader.problem, taken], [true, undefined, bytes.length])
    }
  )

  it.prop(
    "in chunks is what was put into them, however they come, and nothing of what follows",
    { pieces: Pieces, after: Schema.String, cuts: Cuts },
    ({ after, cuts, pieces }) => {
      const buffers = pieces.map((piece) => Buffer.from(piece)).filter(({ length }) => length > 0)
      const framed = Buffer.concat([...buffers.map((buffer) => chunkOf([buffer], buffer.length)), lastChunk])
      const { body, reader, taken } = read("chunked", Buffer.concat([framed, Buffer.from(after)]), cuts)
      assert.isTrue(body.equals(Buffer.concat(buffers)))
      assert.deepStrictEqual([reader.isWhole, reader.problem, taken], [true, undefined, framed.length])
    }
  )

  it.prop("without a length is all that comes", { text: Schema.String, cuts: Cuts }, ({ cuts, text }) => {
    const { body, reader } = read(undefined, Buffer.from(text), cuts)
    assert.strictEqual(body.toString(), Buffer.from(text).toString())
    assert.isFalse(reader.isWhole)
  })

  const framings: ReadonlyArray<readonly [bytes: string, body: string | undefined]> = [
    ["5\r\nhello\r\n0\r\n\r\n", "hello"],
    ["05\r\nhello\r\n000\r\n\r\n", "hello"],
    ["a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a"],
    ["5 ; x\r\nhello\r\n0;y=z\r\nA: b\r\nC: d\r\n\r\n", "hello"],
    ["\r\nhello\r\n0\r\n\r\n", undefined],
    ["-5\r\nhello\r\n0\r\n\r\n", undefined],
    ["0x5\r\nhello\r\n0\r\n\r\n", undefined],
    ["5\rhello\r\n0\r\n\r\n", undefined],
    ["5\r\nhello0\r\n\r\n", undefined],
    ["5\r\nhello\n0\r\n\r\n", undefined],
    ["5;a\nb\r\nhello\r\n0\r\n\r\n", undefined],
    [`5;${"a".repeat(2000)}\r\nhello\r\n0\r\n\r\n`, undefined],
    [`0\r\n${"A: b\r\n".repeat(6000)}\r\n`, undefined],
    ["0\r\nA: b\n\r\n", undefined],
    ["0\r\n\rx", undefined]
  ]
  for (const [bytes, expected] of framings) {
    it(`${expected === undefined ? "is refused" : "is read"} in the framing ${JSON.stringify(bytes.slice(0, 30))}, byte by byte and at once`, () => {
      const all = Buffer.from(bytes)
      for (const cuts of [[], Array.from(all.keys())]) {
        const { body, reader } = read("chunked", all, cuts)
        assert.deepStrictEqual(
          [reader.isWhole, reader.problem === undefined],
          [expected !== undefined, expected !== undefined]
        )
        if (expected !== undefined) assert.strictEqual(body.toString(), expected)
      }
    })
  }
})
