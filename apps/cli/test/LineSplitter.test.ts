import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as LastLines from "../src/LastLines.ts"
import * as LineSplitter from "../src/LineSplitter.ts"

const Texts = Schema.Array(Schema.String)
const PieceSize = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 }))

const inPieces = (bytes: Uint8Array, size: number) =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size))

describe("LineSplitter", () => {
  it.prop("gives the same lines however the bytes are cut", [Texts, PieceSize], ([texts, size]) => {
    const lines = texts.map((text) => text.replaceAll(/[\r\n]/g, "").toWellFormed())
    const splitter = LineSplitter.make()
    const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""))
    const found = inPieces(bytes, size).flatMap((piece) => [...splitter.push(piece)])
    assert.deepStrictEqual([...found, ...splitter.end()], lines)
  })

  it("gives what has no line end at the end", () => {
    const splitter = LineSplitter.make()
    assert.deepStrictEqual(splitter.push(new TextEncoder().encode("a\r\nb")), ["a"])
    assert.deepStrictEqual(splitter.end(), ["b"])
    assert.deepStrictEqual(splitter.end(), [])
  })

  it("gives a line that is too long in pieces, so that it never holds more", () => {
    const splitter = LineSplitter.make(4)
    const bytes = new TextEncoder().encode("abcdefghij")
    assert.deepStrictEqual(
      [...splitter.push(bytes), ...splitter.push(bytes), ...splitter.end()].join(""),
      "abcdefghijabcdefghij"
    )
    assert.deepStrictEqual(splitter.push(bytes), ["abcd", "efgh"])
    assert.deepStrictEqual(splitter.push(new TextEncoder().encode("\n")), ["ij"])
  })
})

describe("LastLines", () => {
  it("keeps the last lines, cut to a length", () => {
    const last = LastLines.make(2, 3)
    last.add(["first", "second"])
    last.add(["third"])
    assert.deepStrictEqual(last.all(), ["sec", "thi"])
    last.add(["4", "5", "6"])
    assert.deepStrictEqual(last.all(), ["5", "6"])
  })
})
