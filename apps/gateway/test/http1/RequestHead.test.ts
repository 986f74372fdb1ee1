import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Fields from "../../src/http1/Fields.ts"
import * as RequestHead from "../../src/http1/RequestHead.ts"

const parse = (...lines: ReadonlyArray<string>) => {
  const head = RequestHead.parse(lines.join("\r\n"))
  if (head instanceof RequestHead.Malformed) throw new Error(head.reason)
  return head
}

describe("The head of a request", () => {
  it("is what is passed on, as it was written, and what the gateway goes by", () => {
    const head = parse(
      "POST /a?b HTTP/1.1",
      "host: shop.test:80",
      "ACCEPT:\t*/* ",
      "Content-Length: 7",
      "X-Request-Id: abc",
      "Connection: close",
      "Connection: x-a",
      "X-A: 1",
      "Keep-Alive: 5",
      "Cookie: a=1"
    )
    assert.deepInclude(head, {
      method: "POST",
      url: "/a?b",
      minor: 1,
      host: "shop.test:80",
      length: 7,
      connection: "close, x-a",
      requestId: "abc",
      ambiguity: undefined,
      passed: "ACCEPT:\t*/* \r\nX-A: 1\r\nCookie: a=1\r\n"
    })
    assert.strictEqual(Fields.find(head.lines, "accept"), "*/*")
    assert.strictEqual(Fields.without(head.passed, ["x-a"]), "ACCEPT:\t*/* \r\nCookie: a=1\r\n")
  })

  it("counts what the target says as the host, over the header", () => {
    assert.deepInclude(parse("GET http://b.test:81/x?y HTTP/1.1", "Host: a"), { host: "b.test:81", url: "/x?y" })
    assert.deepInclude(parse("GET HTTP://b.test?y HTTP/1.1", "Host: a"), { host: "b.test", url: "/?y" })
  })

  it("has no id where there are several", () => {
    assert.isUndefined(parse("GET / HTTP/1.1", "Host: a", "X-Request-Id: a", "x-request-id: a").requestId)
  })

  it("joins the values of a field that is there several times", () => {
    const { lines } = parse("GET / HTTP/1.1", "Host: a", "X-A: 1", "x-a:2", "X-A:")
    assert.strictEqual(Fields.find(lines, "x-a"), "1, 2, ")
    assert.isUndefined(Fields.find(lines, "x-b"))
  })

  const Name = Schema.Literals(["X-A", "x-b", "Accept", "Te", "VIA", "Cookie"])
  const Value = Schema.Literals(["", "1", "a, b", "\xe9\xff", "a:b", "  x  "])
  it.prop(
    "passes on every line that does not end at the gateway, and no other",
    { fields: Schema.Array(Schema.Tuple([Name, Value])) },
    ({ fields }) => {
      const all = fields.map(([name, value]) => `${name}: ${value}`)
      const { passed } = parse("GET / HTTP/1.1", "Host: a", ...all)
      const kept = all.filter((line) => !/^(te|via):/i.test(line))
      assert.strictEqual(passed, kept.map((line) => `${line}\r\n`).join(""))
    }
  )

  it.prop(
    "is never taken where it holds a control character or a line end of its own",
    { at: Schema.Int, code: Schema.Int },
    ({ at, code }) => {
      const control = String.fromCharCode(Math.abs(code) % 32)
      if (control === "\t") return
      const text = "GET /a HTTP/1.1\r\nHost: a\r\nX-A: bcd\r\nX-E: f"
      const place = Math.abs(at) % (text.length + 1)
      // Between CR and LF, and at a line's end, it would end a line as it should be.
      const broken = text.slice(0, place) + control + text.slice(place)
      assert.instanceOf(RequestHead.parse(broken), RequestHead.Malformed)
    }
  )
})
