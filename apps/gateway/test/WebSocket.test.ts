import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { WebSocketServer, WebSocket as WsClient } from "ws"
import { ask, causeOf } from "./client.ts"
import * as Gateway from "./gateway.ts"
import { value, values } from "./http1.ts"
import * as Upstream from "./upstream.ts"
import * as WebSocket from "./websocket.ts"

const setup = Effect.fnUntraced(function* (
  behaviour: Upstream.Behaviour,
  upstreamSettings: Gateway.UpstreamSettings = {}
) {
  const upstream = yield* Upstream.make(behaviour)
  const port = yield* Gateway.make({ targets: [upstream.url], upstream: upstreamSettings })
  return { port, upstream }
})

const inTime = <A>(what: Promise<A>) =>
  Effect.promise(() => what).pipe(
    Effect.timeoutOrElse({ duration: "4 seconds", orElse: () => Effect.die(new Error("did not happen in time")) })
  )

/** Both ends of a WebSocket through the gateway. */
const pair = Effect.fnUntraced(function* (headers: Readonly<Record<string, string>> = {}) {
  const accepted = Promise.withResolvers<WebSocket.End>()
  const { port, upstream } = yield* setup(WebSocket.accepts(accepted.resolve))
  const { end: client, head } = yield* WebSocket.open(port, "/shop/socket?a=1", headers)
  return { port, head, client, server: yield* inTime(accepted.promise), request: upstream.requests[0] }
})

const arrives = (end: WebSocket.End, opcode: number, count = 1) =>
  Gateway.eventually(
    Effect.sync(() => end.frames.filter((frame) => frame.opcode === opcode)),
    (frames) => frames.length >= count
  )

describe("A WebSocket", () => {
  it.live("carries text and bytes of every length both ways, in their order", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair()
      const messages = [
        [WebSocket.text, Buffer.from("héllo 🙂")],
        [WebSocket.binary, Buffer.from([0, 255, 13, 10])],
        ...[0, 125, 126, 65_535, 65_536, 1_000_000].map(
          (size) => [WebSocket.binary, Buffer.alloc(size, size % 251)] as const
        ),
        [WebSocket.text, Buffer.from("x".repeat(70_000))]
      ] as const
      for (const [from, to] of [
        [client, server],
        [server, client]
      ] as const) {
        for (const [opcode, payload] of messages) from.send(opcode, payload)
        const whole = yield* Gateway.eventually(
          Effect.sync(() => to.frames),
          (frames) => frames.length >= messages.length
        )
        for (const [index, [opcode, payload]] of messages.entries()) {
          assert.strictEqual(whole[index]?.opcode, opcode)
          assert.isTrue(whole[index]?.payload.equals(payload), `message ${index}`)
        }
        assert.strictEqual(whole.length, messages.length)
      }
    })
  )

  it.live("carries a message in several frames", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair()
      for (const [from, to] of [
        [client, server],
        [server, client]
      ] as const) {
        from.send(WebSocket.text, "one ", false)
        from.send(0, "two ", false)
        from.send(0, "three")
        yield* Gateway.eventually(
          Effect.sync(() => Buffer.concat(to.frames.map(({ payload }) => payload)).toString()),
          (text) => text === "one two three"
        )
        assert.strictEqual(to.frames[0]?.opcode, WebSocket.text)
        assert.isTrue(to.frames.at(-1)?.fin)
      }
    })
  )

  it.live("carries pings and their answers", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair()
      for (const [from, to] of [
        [client, server],
        [server, client]
      ] as const) {
        from.send(WebSocket.ping, "are you there")
        const [ping] = yield* arrives(to, WebSocket.ping)
        to.send(WebSocket.pong, ping?.payload)
        const [pong] = yield* arrives(from, WebSocket.pong)
        assert.strictEqual(pong?.payload.toString(), "are you there")
      }
    })
  )

  it.live("hands the handshake's path, query and headers on, with those that the gateway sets", () =>
    Effect.gen(function* () {
      const { request } = yield* pair({
        Connection: "Upgrade, X-Drop",
        "X-Drop": "1",
        Cookie: "a=1; b=2",
        Authorization: "Bearer t",
        Origin: "https://app.test",
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "X-Request-Id": "the-id",
        "X-Forwarded-For": "6.6.6.6"
      })
      assert.isDefined(request)
      if (request === undefined) return
      assert.strictEqual(request.target, "/shop/socket?a=1")
      const expected = {
        upgrade: ["websocket"],
        "sec-websocket-version": ["13"],
        cookie: ["a=1; b=2"],
        authorization: ["Bearer t"],
        origin: ["https://app.test"],
        traceparent: ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        "x-request-id": ["the-id"],
        "x-forwarded-for": ["127.0.0.1"],
        "x-forwarded-host": ["gateway.test"],
        "x-drop": []
      }
      for (const [name, all] of Object.entries(expected)) assert.deepStrictEqual(values(request.head, name), all, name)
      assert.strictEqual(value(request.head, "connection")?.toLowerCase(), "upgrade")
      assert.lengthOf(values(request.head, "sec-websocket-key"), 1)
    })
  )

  it.live("is proved to the client, and has the request's id", () =>
    Effect.gen(function* () {
      const { head } = yield* pair({ "X-Request-Id": "the-id" })
      // The example of RFC 6455, section 1.3.
      assert.deepStrictEqual(values(head, "sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="])
      assert.deepStrictEqual(values(head, "x-request-id"), ["the-id"])
      assert.strictEqual(value(head, "upgrade")?.toLowerCase(), "websocket")
      assert.deepStrictEqual(values(head, "sec-websocket-protocol"), [])
    })
  )

  it.live("has the subprotocol that the upstream chose of those that the client offered", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(WebSocket.accepts(() => {}, "Sec-WebSocket-Protocol: soap"))
      const { head } = yield* WebSocket.open(port, "/shop", { "Sec-WebSocket-Protocol": "chat, soap" })
      assert.deepStrictEqual(values(head, "sec-websocket-protocol"), ["soap"])
      const offered = upstream.requests.flatMap((request) => values(request.head, "sec-websocket-protocol"))
      assert.deepStrictEqual(
        offered.flatMap((line) => line.split(",").map((protocol) => protocol.trim())),
        ["chat", "soap"]
      )
    })
  )

  it.live("brings what the upstream sends at once, together with its answer to the handshake", () =>
    Effect.gen(function* () {
      const { port } = yield* setup((request) => {
        const frames = [
          WebSocket.frame(WebSocket.text, "first"),
          WebSocket.frame(WebSocket.binary, "second"),
          WebSocket.frame(WebSocket.close, WebSocket.closing(4002, "over"))
        ]
        request.socket.end(Buffer.concat([Buffer.from(WebSocket.accept(request.head)), ...frames]))
      })
      const { end } = yield* WebSocket.open(port, "/shop")
      const [frame] = yield* arrives(end, WebSocket.close)
      assert.deepStrictEqual(
        end.frames.map(({ payload }) => payload.toString("latin1").replace(/^[^a-z]+/, "")),
        ["first", "second", "over"]
      )
      assert.deepStrictEqual(frame === undefined ? undefined : WebSocket.closed(frame), [4002, "over"])
    })
  )

  it.live("is told of in the gateway's account of requests", () =>
    Effect.gen(function* () {
      const { client, port, server } = yield* pair({ "X-Request-Id": "ws-1" })
      server.send(WebSocket.text, "hello")
      yield* arrives(client, WebSocket.text)
      client.send(WebSocket.close, WebSocket.closing(1000))
      yield* arrives(server, WebSocket.close)
      server.send(WebSocket.close, WebSocket.closing(1000))
      server.socket.end()
      yield* inTime(client.ended)
      const account = yield* Gateway.eventually(ask(port, "/api/gateway/requests/ws-1"), ({ status }) => status === 200)
      assert.deepInclude(account.json().answer, { by: "upstream", status: 101 })
    })
  )

  it.live("is one of as many as the upstream's concurrency allows", () =>
    Effect.gen(function* () {
      const { port } = yield* setup(WebSocket.accepts((end) => void end.send(WebSocket.text, "hello")))
      const clients = yield* Effect.forEach(Array.from({ length: 300 }), () => WebSocket.open(port, "/shop"), {
        concurrency: 20
      })
      for (const { end } of clients) yield* arrives(end, WebSocket.text)
      const other = yield* WebSocket.open(port, "/shop")
      yield* arrives(other.end, WebSocket.text)
    })
  )
})

describe("The end of a WebSocket", () => {
  for (const [what, payload] of [
    ["a code and a reason", WebSocket.closing(4001, "told so")],
    ["a code alone", WebSocket.closing(1001)],
    ["the longest reason", WebSocket.closing(1000, "x".repeat(123))],
    ["no code", Buffer.alloc(0)]
  ] as const) {
    for (const who of ["client", "upstream"] as const) {
      it.live(`by the ${who} with ${what} reaches the other`, () =>
        Effect.gen(function* () {
          const { client, server } = yield* pair()
          const [from, to] = who === "client" ? [client, server] : [server, client]
          from.send(WebSocket.text, "before")
          from.send(WebSocket.close, payload)
          const [frame] = yield* arrives(to, WebSocket.close)
          assert.strictEqual(to.frames[0]?.payload.toString(), "before")
          assert.deepStrictEqual(frame?.payload.toString("hex"), payload.toString("hex"))
          to.send(WebSocket.close, payload)
          to.socket.end()
          yield* inTime(from.ended)
        })
      )
    }
  }

  for (const who of ["client", "upstream"] as const) {
    for (const how of ["ends", "is reset"] as const) {
      it.live(`is no closing by the ${who} when its connection ${how} without one`, () =>
        Effect.gen(function* () {
          const { client, server } = yield* pair()
          const [from, to] = who === "client" ? [client, server] : [server, client]
          from.send(WebSocket.text, "before")
          yield* arrives(to, WebSocket.text)
          if (how === "ends") from.socket.end()
          else from.socket.resetAndDestroy()
          yield* inTime(to.ended)
          assert.deepStrictEqual(
            to.frames.map(({ opcode }) => opcode),
            [WebSocket.text]
          )
        })
      )
    }
  }

  it.live("comes after all that was sent before it, also to a client that reads slowly", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair()
      client.socket.pause()
      const message = Buffer.alloc(1_000_000, 1)
      for (let i = 0; i < 8; i++) server.send(WebSocket.binary, message)
      server.send(WebSocket.close, WebSocket.closing(4000, "over"))
      server.socket.end()
      yield* Effect.sleep("300 millis")
      client.socket.resume()
      yield* arrives(client, WebSocket.close)
      const lengths = client.frames.map(({ payload }) => payload.length)
      assert.deepStrictEqual(lengths, [...Array.from({ length: 8 }, () => 1_000_000), 6])
    })
  )
})

describe("A WebSocket's handshake", () => {
  for (const status of ["200 OK", "401 Unauthorized", "404 Not Found", "503 Busy"]) {
    it.live(`that is answered with ${status} is a problem, and no failure of the upstream`, () =>
      Effect.gen(function* () {
        const { port, upstream } = yield* setup(Upstream.replies(status, [], "no"))
        for (let i = 0; i < 6; i++) {
          const { body, status: answered } = yield* WebSocket.open(port, "/shop")
          assert.strictEqual(answered, 502)
          const problem = JSON.parse(body.toString())
          assert.deepInclude(problem, {
            type: "urn:opsbuddy:problem:upgrade-failed",
            upstream: "shop",
            target: upstream.url,
            detail: `${upstream.url} answered ${status.slice(0, 3)} to the WebSocket handshake`
          })
        }
        assert.strictEqual((yield* Gateway.shop(port)).circuit.state, "closed")
        assert.strictEqual(upstream.requests.length, 6)
      })
    )
  }

  it.live("with an upstream that refuses connections, breaks off or is silent fails as any request does", () =>
    Effect.gen(function* () {
      const settings = { retry: { attempts: 1 }, timeouts: { attempt: "500ms" } }
      const { port, upstream } = yield* setup(Upstream.hangs, settings)
      const cause = Effect.map(WebSocket.open(port, "/shop"), ({ body, status }) =>
        [status, JSON.parse(body.toString()).type.replace("urn:opsbuddy:problem:", "")].join(" ")
      )
      assert.strictEqual(yield* cause, "504 upstream-timeout")
      upstream.become(({ socket }) => socket.end())
      assert.strictEqual(yield* cause, "502 upstream-reset")
      yield* upstream.stop
      assert.strictEqual(yield* cause, "502 connect-failed")
    })
  )

  it.live("that is false is for the client to find out", () =>
    Effect.gen(function* () {
      const { port } = yield* setup((request) =>
        request.socket.write(WebSocket.accept({ line: "", headers: [["sec-websocket-key", "another"]] }))
      )
      const fiber = yield* Effect.forkChild(Effect.exit(Effect.scoped(WebSocket.open(port, "/shop"))))
      const exit = yield* Fiber.join(fiber)
      const status = exit._tag === "Success" ? exit.value.status : undefined
      assert.strictEqual(status, 101)
    })
  )

  it.live("is under its route: a path that no route serves is none", () =>
    Effect.gen(function* () {
      const { port, upstream } = yield* setup(WebSocket.accepts())
      for (const [path, expected] of [
        ["/nowhere", "404 no-route"],
        ["/shop/..%2fx", "400 ambiguous-path"]
      ] as const) {
        const answer = yield* ask(port, path, {
          headers: {
            Connection: "Upgrade",
            Upgrade: "WebSocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="
          }
        })
        assert.strictEqual(`${answer.status} ${causeOf(answer)}`, expected)
      }
      assert.deepStrictEqual(upstream.requests, [])
    })
  )
})

describe("A slow end of a WebSocket", () => {
  const block = Buffer.alloc(256 * 1024, 1)
  const total = 200_000_000

  for (const who of ["client", "upstream"] as const) {
    it.live(`that is the ${who} holds the other back`, () =>
      Effect.gen(function* () {
        const { client, server } = yield* pair()
        const [from, to] = who === "client" ? [server, client] : [client, server]
        to.socket.pause()
        let written = 0
        const go = () => {
          while (written < total && !from.socket.destroyed) {
            written += block.length
            if (!from.send(WebSocket.binary, block)) return void from.socket.once("drain", go)
          }
        }
        go()
        let before = -1
        yield* Gateway.eventually(
          Effect.delay(
            Effect.sync(() => written),
            "500 millis"
          ),
          (now) => {
            const still = now === before
            before = now
            return still
          },
          "10 seconds"
        )
        assert.isBelow(written, 100_000_000)
        assert.isFalse(from.socket.destroyed || from.frames.some(({ opcode }) => opcode === WebSocket.close))
      })
    )
  }
})

describe("A message of more than 16 MiB", () => {
  it.live("passes", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pair()
      client.send(WebSocket.binary, Buffer.alloc(17 * 1024 * 1024, 1))
      yield* Gateway.eventually(
        Effect.sync(() => server.socket.bytesRead),
        (bytes) => bytes > 17 * 1024 * 1024,
        "10 seconds"
      )
    })
  )
})

describe("A WebSocket between a server and a client of ws", () => {
  it.live("talks, with compression where both have it", () =>
    Effect.gen(function* () {
      const server = yield* Effect.acquireRelease(
        Effect.callback<WebSocketServer>((resume) => {
          const made = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true })
          made.on("connection", (socket) => {
            socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }))
          })
          made.once("listening", () => resume(Effect.succeed(made)))
        }),
        (made) => Effect.sync(() => made.close())
      )
      const address = server.address()
      const target = typeof address === "object" && address !== null ? address.port : 0
      const port = yield* Gateway.make({ targets: [`http://127.0.0.1:${target}`] })
      const text = "the same again and again ".repeat(5000)
      const answer = yield* Effect.callback<{ readonly text: string; readonly code: number }>((resume) => {
        const client = new WsClient(`ws://127.0.0.1:${port}/shop`, { perMessageDeflate: true })
        let received = ""
        client.on("open", () => client.send(text))
        client.on("message", (data) => {
          received = data.toString()
          client.close(4003, "enough")
        })
        client.on("close", (code) => resume(Effect.succeed({ text: received, code })))
        client.on("error", (error) => resume(Effect.die(error)))
      })
      assert.deepStrictEqual(answer, { text, code: 4003 })
    })
  )
})
