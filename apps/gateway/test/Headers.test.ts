import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Headers from "../src/Headers.ts"

describe("namedBy", () => {
  it("gives the headers that Connection names, in lower case", () => {
    assert.deepStrictEqual(Headers.namedBy("close, X-A ,,x-b"), ["close", "x-a", "x-b"])
  })

  it("gives nothing where it is absent or a mere option", () => {
    for (const connection of [undefined, null, "close", "keep-alive", "", " , "]) {
      assert.deepStrictEqual(Headers.namedBy(connection), [])
    }
  })
})

const Name = Schema.Literals(["te", "upgrade", "keep-alive", "x-a", "x-b", "trailer", "accept", "transfer-encoding"])

describe("Hop-by-hop headers", () => {
  it.prop(
    "are removed alike from both forms of headers, and no others are",
    { names: Schema.Array(Name), named: Schema.Array(Name) },
    ({ named, names }) => {
      const fields = Object.fromEntries(names.map((name) => [name, "1"]))
      const all = named.length === 0 ? fields : { ...fields, connection: named.join(", ") }
      const web = new globalThis.Headers(all)
      Headers.removeHopByHop(web)
      const node = Headers.withoutHopByHop(all)
      const kept = Object.keys(fields).filter((name) => ["x-a", "x-b", "accept"].includes(name))
      const expected = kept.filter((name) => !named.some((other) => other === name)).sort()
      assert.deepStrictEqual([...web.keys()].sort(), expected)
      assert.deepStrictEqual(Object.keys(node).sort(), expected)
    }
  )

  it("are removed from a copy, which keeps each of several values", () => {
    const headers = { "set-cookie": ["a=1", "b=2"], te: "trailers", "x-none": undefined }
    assert.deepStrictEqual(Headers.withoutHopByHop(headers), { "set-cookie": ["a=1", "b=2"] })
    assert.strictEqual(headers.te, "trailers")
  })
})

describe("isUpgrade", () => {
  it("is true for every protocol but an offer of HTTP/2, which may be ignored", () => {
    assert.deepStrictEqual(["websocket", "TLS/1.0", "h2c", "H2C", undefined, null].map(Headers.isUpgrade), [
      true,
      true,
      false,
      false,
      false,
      false
    ])
  })
})

describe("forwarded", () => {
  it("tells what is known and leaves out what is not", () => {
    assert.deepStrictEqual(Headers.forwarded(undefined, undefined), { "x-forwarded-proto": "http" })
    assert.deepStrictEqual(Headers.forwarded("10.0.0.1", "a:1"), {
      "x-forwarded-proto": "http",
      "x-forwarded-for": "10.0.0.1",
      "x-forwarded-host": "a:1"
    })
  })
})
