import { assert, describe, it } from "@effect/vitest"
import * as Headers from "../src/Headers.ts"
import * as Fields from "../src/http1/Fields.ts"

describe("namedBy", () => {
  it("gives the headers that Connection names, in lower case", () => {
    assert.deepStrictEqual(Headers.namedBy("close, X-A ,,x-b"), ["close", "x-a", "x-b"])
  })

  it("gives nothing where it is absent or a mere option", () => {
    for (const connection of [undefined, "close", "keep-alive", "", " , "]) {
      assert.deepStrictEqual(Headers.namedBy(connection), [])
    }
  })
})

const claims = [
  "X-Forwarded-For: 6.6.6.6",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: claimed",
  "Forwarded: for=6.6.6.6",
  "Via: 1.0 proxy",
  ""
].join("\r\n")

/** What is set, in the place of what the client has sent. */
const forwarded = (origin: Omit<Headers.Origin, "lines">, sent = "") => {
  const all: Record<string, string> = {}
  Fields.each(Headers.forwarded({ ...origin, lines: sent }), (name, value) => {
    all[name] = value
  })
  return all
}

describe("The lines about the client", () => {
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
