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
      for (const name of Headers.inspect(web).hopByHop) web.delete(name)
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

const claims = new Map([
  ["x-forwarded-for", "6.6.6.6"],
  ["x-forwarded-proto", "https"],
  ["x-forwarded-host", "claimed"],
  ["forwarded", "for=6.6.6.6"],
  ["via", "1.0 proxy"]
])

/** What is set, over what the client has sent. */
const forwarded = (origin: Omit<Headers.Origin, "header">, sent: ReadonlyMap<string, string> = new Map()) => {
  const all = new Map(sent)
  Headers.setForwarded((name, value) => all.set(name, value), { ...origin, header: (name) => sent.get(name) })
  return Object.fromEntries(all)
}

describe("setForwarded", () => {
  it("tells what is known, and nothing that a client claims of itself", () => {
    assert.deepStrictEqual(forwarded({ host: "shop.test:80", isTrusted: false, peer: "10.0.0.1" }, claims), {
      "x-forwarded-for": "10.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "shop.test:80",
      forwarded: 'for=10.0.0.1;host="shop.test:80";proto=http',
      via: "1.1 opsbuddy"
    })
  })

  it("goes on with what a trusted proxy says", () => {
    assert.deepStrictEqual(forwarded({ host: "a", isTrusted: true, peer: "10.0.0.1" }, claims), {
      "x-forwarded-for": "6.6.6.6, 10.0.0.1",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "claimed",
      forwarded: "for=6.6.6.6, for=10.0.0.1;host=a;proto=http",
      via: "1.0 proxy, 1.1 opsbuddy"
    })
  })

  it("tells the same of a trusted proxy that says nothing", () => {
    const untrusted = forwarded({ host: "a", isTrusted: false, peer: "10.0.0.1" })
    assert.deepStrictEqual(forwarded({ host: "a", isTrusted: true, peer: "10.0.0.1" }), untrusted)
  })

  it("writes addresses and hosts so that they stay one value", () => {
    const at = (peer: string | undefined, host: string) => forwarded({ host, isTrusted: false, peer }).forwarded
    assert.strictEqual(at("fd00::1", "a.test"), 'for="[fd00::1]";host=a.test;proto=http')
    assert.strictEqual(at(undefined, "[::1]:80"), 'for=unknown;host="[::1]:80";proto=http')
    assert.strictEqual(at("10.0.0.1", 'a";for=x'), 'for=10.0.0.1;host="a\\";for=x";proto=http')
  })
})
