import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { ask, causeOf, converse, header, open, requestHead } from "./client.ts"
import * as Gateway from "./gateway.ts"
import { value, values } from "./http1.ts"
import * as Upstream from "./upstream.ts"

/** One gateway before one upstream that each test tells what to do. */
class Setup extends Context.Service<Setup, { readonly port: number; readonly upstream: Upstream.Upstream }>()(
  "@opsbuddy/gateway/test/Setup"
) {
  static readonly layer = Layer.effect(
    Setup,
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      return { upstream, port: yield* Gateway.make({ targets: [upstream.url] }) }
    })
  )
}

const exchange = Effect.fnUntraced(function* (
  behaviour: Upstream.Behaviour,
  ...[target, question]: [string, Parameters<typeof ask>[2]?]
) {
  const { port, upstream } = yield* Setup
  upstream.become(behaviour)
  const answer = yield* ask(port, target, question)
  const received = upstream.requests.at(-1)
  if (received === undefined) throw new Error("nothing reached the upstream")
  return { answer, received }
})

layer(Setup.layer, { excludeTestServices: true })("A forwarded request", (it) => {
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
    it.effect(`arrives as ${method} with path and query as they were written`, () =>
      Effect.gen(function* () {
        const target = "/shop//a%20b/%C3%BC;v=1/~(x)!*'?q=a+b&q=%2Fc%2e&empty=&flag&=&u=http://x/y?z"
        const { answer, received } = yield* exchange(Upstream.echo, target, { method })
        assert.deepStrictEqual([answer.status, received.method, received.target], [200, method, target])
      })
    )
  }

  for (const target of ["/shop", "/shop/", "/shop?", "/shop?a=1", "/shop/a//b", "/shop/%zz", "/shop/a.b/..c/.d"]) {
    it.effect(`keeps the target ${target}`, () =>
      Effect.gen(function* () {
        const { received } = yield* exchange(Upstream.echo, target)
        assert.strictEqual(received.target, target)
      })
    )
  }

  it.effect("keeps characters in path and query that ought to have been encoded", () =>
    Effect.gen(function* () {
      const { received } = yield* exchange(Upstream.echo, `/shop/a"b|c^d\`e{f}?q="<>'|{}^\``)
      assert.strictEqual(received.target, `/shop/a"b|c^d\`e{f}?q="<>'|{}^\``)
    })
  )

  it.effect("may name the gateway in its target, of which only path and query go on", () =>
    Effect.gen(function* () {
      const { received } = yield* exchange(Upstream.echo, "http://gateway.test/shop/x?y=1")
      assert.strictEqual(received.target, "/shop/x?y=1")
    })
  )

  it.effect("loses the headers that concern the connection, and those that Connection names", () =>
    Effect.gen(function* () {
      const { received } = yield* exchange(Upstream.echo, "/shop", {
        headers: {
          Connection: "close, X-Drop ,x-drop-too",
          "X-Drop": "1",
          "X-Drop-Too": "1",
          "X-Keep": "1",
          TE: "trailers",
          Trailer: "x",
          "Keep-Alive": "timeout=5",
          "Proxy-Authorization": "Basic eDp5",
          "Proxy-Connection": "keep-alive",
          Authorization: "Bearer t",
          Cookie: "a=1; b=2"
        }
      })
      for (const name of ["x-drop", "x-drop-too", "te", "trailer", "keep-alive", "proxy-authorization"]) {
        assert.deepStrictEqual(values(received.head, name), [], name)
      }
      assert.strictEqual(value(received.head, "proxy-connection"), undefined)
      assert.strictEqual(value(received.head, "x-keep"), "1")
      assert.strictEqual(value(received.head, "authorization"), "Bearer t")
      assert.strictEqual(value(received.head, "cookie"), "a=1; b=2")
      assert.notInclude((value(received.head, "connection") ?? "").toLowerCase(), "x-drop")
    })
  )

  it.effect("says who the client is, in place of what the client claims", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* Setup
      const { received } = yield* exchange(Upstream.echo, "/shop", {
        headers: {
          Host: "shop.example:8080",
          "X-Forwarded-For": "6.6.6.6",
          "X-Forwarded-Host": "evil",
          "X-Forwarded-Proto": "https",
          Forwarded: "for=6.6.6.6"
        }
      })
      assert.deepStrictEqual(values(received.head, "x-forwarded-for"), ["127.0.0.1"])
      assert.deepStrictEqual(values(received.head, "x-forwarded-host"), ["shop.example:8080"])
      assert.deepStrictEqual(values(received.head, "x-forwarded-proto"), ["http"])
      assert.deepStrictEqual(values(received.head, "forwarded"), ['for=127.0.0.1;host="shop.example:8080";proto=http'])
      assert.deepStrictEqual(values(received.head, "host"), [`127.0.0.1:${upstream.port}`])
      assert.notStrictEqual(port, upstream.port)
    })
  )

  it.effect("keeps a valid request id, on the way there and on the answer, once", () =>
    Effect.gen(function* () {
      const { answer, received } = yield* exchange(
        Upstream.replies("200 OK", ["X-Request-Id: the-upstreams-own"], "hi"),
        "/shop",
        { headers: { "X-Request-Id": "abc-1" } }
      )
      assert.deepStrictEqual(values(received.head, "x-request-id"), ["abc-1"])
      assert.deepStrictEqual(values(answer.head, "x-request-id"), ["abc-1"])
    })
  )

  for (const [what, headers] of [
    ["that has none", {}],
    ["whose own is not valid", { "X-Request-Id": "a b" }]
  ] as const) {
    it.effect(`gets an id when it is one ${what}`, () =>
      Effect.gen(function* () {
        const { answer, received } = yield* exchange(Upstream.echo, "/shop", { headers })
        const id = header(answer, "x-request-id")
        assert.match(String(id), /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/)
        assert.deepStrictEqual(values(received.head, "x-request-id"), [String(id)])
      })
    )
  }

  it.effect("keeps its trace", () =>
    Effect.gen(function* () {
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      const { received } = yield* exchange(Upstream.echo, "/shop", {
        headers: { traceparent, tracestate: "v=1", baggage: "k=v" }
      })
      assert.deepStrictEqual(values(received.head, "traceparent"), [traceparent])
      assert.deepStrictEqual(values(received.head, "tracestate"), ["v=1"])
      assert.deepStrictEqual(values(received.head, "baggage"), ["k=v"])
    })
  )

  it.effect("brings its body with its length", () =>
    Effect.gen(function* () {
      const body = JSON.stringify({ text: "ü".repeat(1000) })
      const { received } = yield* exchange(Upstream.echo, "/shop", {
        method: "POST",
        body,
        headers: { "Content-Type": "application/json" }
      })
      assert.strictEqual(received.body().toString(), body)
      assert.strictEqual(value(received.head, "content-length"), String(Buffer.byteLength(body)))
      assert.strictEqual(value(received.head, "content-type"), "application/json")
    })
  )

  it.effect("brings a body that comes in chunks of unknown number", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* Setup
      upstream.become(Upstream.echo)
      const arrives = yield* Effect.forkChild(upstream.next, { startImmediately: true })
      const client = yield* open(port, "/shop", { method: "POST", headers: { "Transfer-Encoding": "chunked" } })
      client.socket.write("6\r\nhello \r\n")
      client.socket.write("5;ext=1\r\nworld\r\n0\r\n\r\n")
      const received = yield* Fiber.join(arrives)
      yield* Effect.promise(() => client.done)
      assert.strictEqual(received.body().toString(), "hello world")
    })
  )

  it.effect("with Expect: 100-continue is told to go on, and arrives without it", () =>
    Effect.gen(function* () {
      const { answer, received } = yield* exchange(Upstream.echo, "/shop", {
        method: "POST",
        body: "x",
        headers: { Expect: "100-continue" }
      })
      assert.deepStrictEqual([answer.status, received.body().toString()], [200, "x"])
      assert.strictEqual(value(received.head, "expect"), undefined)
    })
  )

  it.effect("keeps what the gateway has set although Connection names it", () =>
    Effect.gen(function* () {
      const { received } = yield* exchange(Upstream.echo, "/shop", {
        headers: {
          Connection: "x-forwarded-for, forwarded, via, x-request-id, x-request-timeout-ms, host, cookie",
          Cookie: "a=1"
        }
      })
      for (const name of [
        "x-forwarded-for",
        "forwarded",
        "via",
        "x-request-id",
        "x-request-timeout-ms",
        "host",
        "cookie"
      ]) {
        assert.lengthOf(values(received.head, name), 1, name)
      }
    })
  )

  it.effect("says how long the client will wait, whatever the client says", () =>
    Effect.gen(function* () {
      const headers = { "X-Request-Timeout-Ms": "1" }
      const { received } = yield* exchange(Upstream.echo, "/shop", { headers })
      const [left, ...more] = values(received.head, "x-request-timeout-ms").map(Number)
      assert.isTrue(left !== undefined && left > 25_000 && left <= 30_000, String(left))
      assert.deepStrictEqual(more, [])
      const { received: upload } = yield* exchange(Upstream.echo, "/shop", { method: "POST", body: "x", headers })
      assert.isAbove(Number(value(upload.head, "x-request-timeout-ms")), 3_500_000)
    })
  )

  it.effect("keeps its other headers, several of a name too, byte for byte", () =>
    Effect.gen(function* () {
      const name = Buffer.from("caf\u00e9 \u65e5").toString("latin1")
      const head = [
        "GET /shop HTTP/1.1",
        "Host: a",
        `X-Name: ${name}`,
        "X-Empty:",
        "X-List: a",
        "X-List: b, c",
        "Accept: */*"
      ]
      const { port, upstream } = yield* Setup
      upstream.become(Upstream.echo)
      const client = yield* converse(port, Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"))
      yield* Effect.promise(() => client.done)
      const received = upstream.requests.at(-1)
      assert.isDefined(received)
      if (received === undefined) return
      assert.deepStrictEqual(values(received.head, "x-name"), [name])
      assert.deepStrictEqual(values(received.head, "x-empty"), [""])
      assert.strictEqual(values(received.head, "x-list").join(", "), "a, b, c")
      assert.deepStrictEqual(values(received.head, "accept"), ["*/*"])
    })
  )

  it.effect("gets no header that the client did not send and that changes what is asked for", () =>
    Effect.gen(function* () {
      const { received } = yield* exchange(Upstream.echo, "/shop")
      const names = received.head.headers.map(([name]) => name.toLowerCase()).sort()
      const set = [
        "forwarded",
        "host",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
        "x-request-timeout-ms"
      ]
      assert.deepStrictEqual(names, set)
    })
  )
})

layer(Setup.layer, { excludeTestServices: true })("A forwarded answer", (it) => {
  it.effect("keeps status, headers and body", () =>
    Effect.gen(function* () {
      const { answer } = yield* exchange(
        Upstream.replies("418 Teapot", ["Content-Type: text/x; q=1", 'ETag: W/"1"', "X-Odd: a, b"], "short and stout"),
        "/shop"
      )
      assert.strictEqual(answer.status, 418)
      assert.deepStrictEqual(
        ["content-type", "etag", "x-odd", "content-length"].map((name) => header(answer, name)),
        ["text/x; q=1", 'W/"1"', "a, b", "15"]
      )
      assert.deepStrictEqual([answer.body.toString(), answer.complete], ["short and stout", true])
    })
  )

  it.effect("loses the headers that concern the connection, and those that Connection names", () =>
    Effect.gen(function* () {
      const { answer } = yield* exchange(
        Upstream.replies("200 OK", [
          "Connection: keep-alive, X-Secret",
          "X-Secret: 1",
          "Keep-Alive: timeout=99",
          "Proxy-Authenticate: Basic",
          "X-Kept: 1"
        ]),
        "/shop"
      )
      assert.deepStrictEqual(values(answer.head, "x-secret"), [])
      assert.deepStrictEqual(values(answer.head, "proxy-authenticate"), [])
      assert.notInclude(values(answer.head, "keep-alive"), "timeout=99")
      assert.strictEqual(header(answer, "x-kept"), "1")
    })
  )

  it.effect("that redirects is not followed", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* Setup
      upstream.become(Upstream.replies("302 Found", ["Location: http://127.0.0.1:1/elsewhere"]))
      const before = upstream.requests.length
      const answer = yield* ask(port, "/shop")
      assert.deepStrictEqual([answer.status, header(answer, "location")], [302, "http://127.0.0.1:1/elsewhere"])
      assert.strictEqual(upstream.requests.length, before + 1)
    })
  )

  it.effect("keeps each of several cookies", () =>
    Effect.gen(function* () {
      const cookies = ["a=1; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2; HttpOnly"]
      const { answer } = yield* exchange(
        Upstream.replies(
          "200 OK",
          cookies.map((cookie) => `Set-Cookie: ${cookie}`)
        ),
        "/shop"
      )
      assert.deepStrictEqual(values(answer.head, "set-cookie"), cookies)
    })
  )

  for (const [encoding, body] of [
    ["gzip", gzipSync("hello".repeat(100))],
    ["x-unheard-of", Buffer.from([1, 2, 3, 255, 0])]
  ] as const) {
    it.effect(`in the encoding ${encoding} stays as it is`, () =>
      Effect.gen(function* () {
        const { answer } = yield* exchange(
          Upstream.replies("200 OK", [`Content-Encoding: ${encoding}`], body),
          "/shop",
          { headers: { "Accept-Encoding": encoding } }
        )
        assert.strictEqual(header(answer, "content-encoding"), encoding)
        assert.isTrue(answer.body.equals(body))
      })
    )
  }

  it.effect("of 204 has no body and no framing", () =>
    Effect.gen(function* () {
      const { answer } = yield* exchange(
        (request) => request.socket.write("HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"),
        "/shop",
        { method: "DELETE" }
      )
      assert.deepStrictEqual([answer.status, answer.body.length, header(answer, "x-a")], [204, 0, "1"])
      assert.strictEqual(header(answer, "transfer-encoding"), undefined)
    })
  )

  it.effect("of 304 has no body and keeps its validators", () =>
    Effect.gen(function* () {
      const { answer } = yield* exchange(
        (request) => request.socket.write('HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'),
        "/shop",
        { headers: { "If-None-Match": '"1"' } }
      )
      assert.deepStrictEqual([answer.status, answer.body.length, header(answer, "etag")], [304, 0, '"1"'])
    })
  )

  it.effect("to HEAD tells the length that GET would have, without a body", () =>
    Effect.gen(function* () {
      const { answer, received } = yield* exchange(
        (request) => request.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"),
        "/shop",
        { method: "HEAD" }
      )
      assert.strictEqual(received.method, "HEAD")
      assert.deepStrictEqual([answer.status, answer.body.length], [200, 0])
      assert.strictEqual(header(answer, "content-length"), "12345")
    })
  )

  it.effect("whose end is the connection's is whole", () =>
    Effect.gen(function* () {
      const { answer } = yield* exchange(
        (request) => request.socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"),
        "/shop"
      )
      assert.deepStrictEqual([answer.body.toString(), answer.complete], ["until the end", true])
    })
  )

  it.effect("keeps Content-Length when it is too large to be looked at whole", () =>
    Effect.gen(function* () {
      const size = 5_000_000
      const { answer } = yield* exchange((request) => {
        request.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        Upstream.pour(request.socket, size)
      }, "/shop")
      assert.strictEqual(header(answer, "content-length"), String(size))
      assert.isTrue(answer.complete)
    })
  )

  it.effect("that has no body is over at once, and the next one on its connection comes", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* Setup
      const heads = {
        HEAD: "200 OK\r\nContent-Length: 5",
        GET: "304 Not Modified",
        DELETE: "204 No Content",
        POST: "200 OK\r\nContent-Length: 0"
      }
      for (const [method, head] of Object.entries(heads)) {
        upstream.become((request) => request.socket.write(`HTTP/1.1 ${head}\r\n\r\n`))
        const client = yield* open(port, "/shop", { method, headers: { "X-Request-Id": `bare-${method}` } })
        yield* Effect.promise(() => client.done)
        const { answer } = yield* Effect.map(ask(port, `/api/gateway/requests/bare-${method}`), (answer) =>
          answer.json()
        )
        assert.deepInclude(answer, { by: "upstream" }, method)
        const before = upstream.requests.length
        client.socket.write(requestHead("/shop", { method }))
        yield* Gateway.eventually(
          Effect.sync(() => upstream.requests.length),
          (count) => count > before
        )
      }
    })
  )

  it.effect("on a connection that is kept is followed by the next", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* Setup
      upstream.become(Upstream.echo)
      const client = yield* open(port, "/shop/1")
      yield* Effect.promise(() => client.done)
      client.socket.write(requestHead("/shop/2", {}))
      const both = yield* Gateway.eventually(
        Effect.sync(() => client.received().toString()),
        (text) => text.includes("/shop/2")
      )
      assert.include(both, "/shop/1")
    })
  )

  it.effect("to a range is the range", () =>
    Effect.gen(function* () {
      const { answer, received } = yield* exchange(
        Upstream.replies("206 Partial Content", ["Content-Range: bytes 2-4/10", "Accept-Ranges: bytes"], "cde"),
        "/shop",
        { headers: { Range: "bytes=2-4", "If-Range": '"v1"' } }
      )
      assert.deepStrictEqual([value(received.head, "range"), value(received.head, "if-range")], ["bytes=2-4", '"v1"'])
      assert.deepStrictEqual(
        [answer.status, header(answer, "content-range"), header(answer, "content-length"), answer.body.toString()],
        [206, "bytes 2-4/10", "3", "cde"]
      )
    })
  )

  it.effect("comes after the interim answers before it, at once and as they were", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* Setup
      const early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n"
      upstream.become((request) => {
        request.socket.write(`${early}Connection: x-a\r\nX-A: 1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n`)
      })
      const client = yield* open(port, "/shop")
      let raw = ""
      client.socket.on("data", (chunk) => {
        raw += chunk.toString("latin1")
      })
      yield* Gateway.eventually(
        Effect.sync(() => raw),
        (text) => text === `${early}\r\nHTTP/1.1 102 Processing\r\n\r\n`
      )
      upstream.requests.at(-1)?.socket.write(Upstream.answer("200 OK", [], "whole"))
      const head = yield* Effect.promise(() => client.head)
      yield* Effect.promise(() => client.done)
      assert.deepStrictEqual([head.line, client.received().toString()], ["HTTP/1.1 200 OK", "whole"])
    })
  )

  it.effect("comes without interim answers to a client of HTTP/1.0, which does not know them", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* Setup
      upstream.become((request) => {
        const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n"
        request.socket.write(`HTTP/1.1 103 Early Hints\r\n\r\n${chunks}`)
      })
      const client = yield* converse(port, "GET /shop HTTP/1.0\r\n\r\n")
      let raw = ""
      client.socket.on("data", (chunk) => {
        raw += chunk.toString("latin1")
      })
      yield* Effect.promise(() => client.done)
      assert.match(raw, /^HTTP\/1\.1 200 OK\r\n/)
      assert.notMatch(raw, /transfer-encoding/i)
      assert.deepStrictEqual([client.received().toString(), client.complete()], ["whole", true])
    })
  )

  it.effect("comes after a 100 that nobody asked for", () =>
    Effect.gen(function* () {
      const { answer } = yield* exchange(
        (request) => request.socket.write(`HTTP/1.1 100 Continue\r\n\r\n${Upstream.answer("200 OK")}`),
        "/shop"
      )
      assert.strictEqual(answer.status, 200)
    })
  )

  it.effect("tells how long the gateway and the upstream took, after what the upstream tells", () =>
    Effect.gen(function* () {
      const { answer } = yield* exchange(
        (request) =>
          void setTimeout(() => request.socket.write(Upstream.answer("200 OK", ["Server-Timing: db;dur=5"])), 60),
        "/shop"
      )
      const timing = values(answer.head, "server-timing").join(", ")
      const [, gateway, upstream] = /^db;dur=5, gateway;dur=([\d.]+), upstream;dur=([\d.]+)$/.exec(timing) ?? []
      assert.isTrue(Number(upstream) >= 55 && Number(upstream) < 2000, timing)
      assert.isTrue(Number(gateway) >= 0 && Number(gateway) < 2000, timing)
    })
  )

  it.effect("keeps its other headers, several of a name too, byte for byte", () =>
    Effect.gen(function* () {
      const name = Buffer.from("caf\u00e9 \u65e5").toString("latin1")
      const { answer } = yield* exchange(
        Upstream.replies("200 OK", [
          `X-Name: ${name}`,
          "X-Empty:",
          "Link: </a>; rel=a",
          "Link: </b>; rel=b",
          "WWW-Authenticate: Basic",
          "WWW-Authenticate: Bearer",
          "Server: shop/1",
          "Date: Wed, 21 Oct 2026 07:28:00 GMT"
        ]),
        "/shop"
      )
      assert.deepStrictEqual(values(answer.head, "x-name"), [name])
      assert.deepStrictEqual(values(answer.head, "x-empty"), [""])
      assert.strictEqual(values(answer.head, "link").join(", "), "</a>; rel=a, </b>; rel=b")
      assert.strictEqual(values(answer.head, "www-authenticate").join(", "), "Basic, Bearer")
      assert.deepStrictEqual(values(answer.head, "server"), ["shop/1"])
      assert.deepStrictEqual(values(answer.head, "date"), ["Wed, 21 Oct 2026 07:28:00 GMT"])
    })
  )

  for (const status of [201, 299, 418, 451, 599, 799]) {
    for (const size of [2, 1_000_000]) {
      it.effect(`with the status ${status} and ${size} bytes keeps both`, () =>
        Effect.gen(function* () {
          const { answer } = yield* exchange(Upstream.replies(`${status} So`, [], "x".repeat(size)), "/shop")
          assert.deepStrictEqual([answer.status, answer.body.length, answer.complete], [status, size, true])
        })
      )
    }
  }

  for (const [what, bytes] of [
    ["of two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    ["of both framings", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"],
    ["with a control character in a header", "X-Odd: a\u0001b\r\nContent-Length: 1\r\n\r\na"],
    ["with NUL in a header", "X-Odd: a\0b\r\nContent-Length: 1\r\n\r\na"],
    ["with a header that has no name", ": b\r\nContent-Length: 1\r\n\r\na"],
    ["that changes the protocol unasked", "Upgrade: odd\r\nConnection: Upgrade\r\n\r\n"]
  ] as const) {
    it.effect(`${what} is refused, and the gateway goes on`, () =>
      Effect.gen(function* () {
        const { port, upstream } = yield* Setup
        const line = bytes.startsWith("Upgrade") ? "HTTP/1.1 101 Switching Protocols" : "HTTP/1.1 200 OK"
        const { answer } = yield* exchange((request) => request.socket.end(`${line}\r\n${bytes}`), "/shop", {
          method: "POST"
        })
        assert.deepStrictEqual([answer.status, causeOf(answer)], [502, "upstream-reset"])
        upstream.become(Upstream.echo)
        assert.strictEqual((yield* ask(port, "/shop")).status, 200)
      })
    )
  }

  it.effect("has no fields after its body", () =>
    Effect.gen(function* () {
      const { answer } = yield* exchange(
        (request) =>
          request.socket.write(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
          ),
        "/shop"
      )
      assert.deepStrictEqual(
        [answer.body.toString(), answer.complete, header(answer, "trailer")],
        ["hello", true, undefined]
      )
    })
  )
})

/**
 * Asks a gateway that believes its own machine, as it would a proxy in front of it: the head that the upstream got, and the
 * client that the gateway's account names.
 */
const askAsProxy = Effect.fnUntraced(function* (headers: Readonly<Record<string, string>>) {
  const upstream = yield* Upstream.make()
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "opsbuddy-gateway-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  const file = join(folder, "opsbuddy.yaml")
  writeFileSync(file, "trustedProxies: [127.0.0.0/8, 10.0.0.0/8]\n")
  const port = yield* Gateway.serve({
    file,
    builtIn: {
      upstreams: { shop: { targets: [upstream.url] } },
      routes: [{ name: "shop", path: "/shop", upstream: "shop" }]
    }
  })
  yield* ask(port, "/shop", { headers: { ...headers, "X-Request-Id": "trusted" } })
  const [received] = upstream.requests
  if (received === undefined) return assert.fail("the upstream got nothing")
  const account = yield* ask(port, "/api/gateway/requests/trusted")
  return { head: received.head, client: account.json().client }
})

describe("A request from a trusted proxy", () => {
  it.live("goes on with what the proxy says of the client", () =>
    Effect.gen(function* () {
      const { client, head } = yield* askAsProxy({
        Host: "internal:8000",
        "X-Forwarded-For": "6.6.6.6, 192.0.2.7, 10.0.0.9",
        "X-Forwarded-Host": "shop.example",
        "X-Forwarded-Proto": "https",
        Forwarded: "for=192.0.2.7;proto=https",
        Via: "1.1 edge"
      })
      const expected = {
        "x-forwarded-for": ["6.6.6.6, 192.0.2.7, 10.0.0.9, 127.0.0.1"],
        "x-forwarded-host": ["shop.example"],
        "x-forwarded-proto": ["https"],
        forwarded: ['for=192.0.2.7;proto=https, for=127.0.0.1;host="internal:8000";proto=http'],
        via: ["1.1 edge, 1.1 opsbuddy"]
      }
      for (const [name, all] of Object.entries(expected)) assert.deepStrictEqual(values(head, name), all)
      // The last address that is no trusted proxy's: what is before it, the client may have made up.
      assert.strictEqual(client, "192.0.2.7")
    })
  )

  it.live("is the client's that the proxy names, also where Connection would name that away", () =>
    Effect.gen(function* () {
      const { client, head } = yield* askAsProxy({
        Connection: "x-forwarded-for, x-forwarded-host",
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Host": "shop.example"
      })
      assert.deepStrictEqual(values(head, "x-forwarded-for"), ["192.0.2.7, 127.0.0.1"])
      assert.deepStrictEqual(values(head, "x-forwarded-host"), ["shop.example"])
      assert.strictEqual(client, "192.0.2.7")
    })
  )
})
