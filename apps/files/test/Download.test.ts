import { assert, describe, it } from "@effect/vitest"
import { MultipartParser } from "effect/http"
import { contentDisposition, rangeOf } from "../src/Download.ts"
import { NameParts } from "./names.ts"

/** The file name that effect's own parser of multipart headers reads from a disposition. */
const readBack = (disposition: string) => {
  let name: string | undefined
  const parser = MultipartParser.make({
    headers: { "content-type": "multipart/form-data; boundary=xyz" },
    isFile: (info) => {
      name = info.filename
      return true
    },
    onField: () => {},
    onFile: () => () => {},
    onError: (error) => {
      name = error._tag
    },
    onDone: () => {}
  })
  parser.write(new TextEncoder().encode(`--xyz\r\nContent-Disposition: ${disposition}\r\n\r\nx\r\n--xyz--\r\n`))
  parser.end()
  return name
}

describe("contentDisposition", () => {
  it.prop("is plain ASCII from which the name is read back, whatever it is", [NameParts], ([parts]) => {
    const name = parts.join("")
    const disposition = contentDisposition(name)
    assert.match(disposition, /^attachment; filename="[ -~]+"/)
    assert.strictEqual(readBack(disposition), name)
  })

  it("keeps a plain name plain", () => {
    assert.strictEqual(contentDisposition("a b.txt"), 'attachment; filename="a b.txt"')
  })
})

describe("rangeOf", () => {
  it("takes sizes and positions beyond 32 bits", () => {
    const size = 10 * 2 ** 40
    assert.deepStrictEqual(rangeOf("bytes=-1", size), { first: size - 1, last: size - 1 })
    assert.deepStrictEqual(rangeOf(`bytes=${2 ** 41}-`, size), { first: 2 ** 41, last: size - 1 })
    assert.strictEqual(rangeOf("bytes=99999999999999999999999-", size), "unsatisfiable")
  })
})
