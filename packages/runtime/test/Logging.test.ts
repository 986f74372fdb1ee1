import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Logging from "../src/Logging.ts"
import { ask } from "./app/Ask.ts"
import { Lines } from "./app/Lines.ts"
import { Served } from "./app/Served.ts"

/** What the effect logs as the service `files`. */
const logged = <A, E>(
  effect: Effect.Effect<A, E>,
  options: Partial<Omit<Logging.LoggingOptions, "stream">> = {},
  lines = new Lines()
) =>
  effect.pipe(
    Effect.provide(Logging.layer({ service: "files", level: "Info", format: "auto", ...options, stream: lines })),
    Effect.exit,
    Effect.as(lines)
  )

describe("a log line", () => {
  it.effect("is one JSON object with the parts that every line has", () =>
    Effect.gen(function* () {
      const lines = yield* logged(Effect.logWarning("disk is\nfilling", { free: 5 }))
      assert.lengthOf(lines.texts, 1)
      assert.match(lines.texts[0] ?? "", /^\{[^\n]*\}\n$/)
      assert.deepStrictEqual(lines.objects, [
        {
          timestamp: "1970-01-01T00:00:00.000Z",
          level: "warn",
          logger: "files",
          message: "disk is\nfilling",
          operation: "process",
          service: "files",
          data: { free: 5 }
        }
      ])
    })
  )

  it.effect("names the span that it is written in as its operation, with the ids of the trace", () =>
    Effect.gen(function* () {
      const stat = Effect.fn("FileStore.stat")(() => Effect.logInfo("asked"))
      const [line] = (yield* logged(stat())).objects
      assert.strictEqual(line?.operation, "FileStore.stat")
      assert.match(String(line?.traceId), /^[0-9a-f]{32}$/)
      assert.match(String(line?.spanId), /^[0-9a-f]{16}$/)
    })
  )

  it.effect("takes annotations as data, and `logger` and `operation` of them as its own", () =>
    Effect.gen(function* () {
      const effect = Effect.annotateLogs(Effect.logInfo("x"), { logger: "sql", operation: "migrate", table: "files" })
      const [line] = (yield* logged(effect)).objects
      assert.deepInclude(line, { logger: "sql", operation: "migrate", service: "files", data: { table: "files" } })
    })
  )

  it.effect("is not lost to what its data holds", () =>
    Effect.gen(function* () {
      const loop: Record<string, unknown> = { big: 2n ** 64n, error: new Error("no space") }
      loop.self = loop
      const [line] = (yield* logged(Effect.logInfo("odd", loop))).objects
      assert.deepStrictEqual(line?.data, {
        big: "18446744073709551616",
        error: { name: "Error", message: "no space" },
        self: { big: "18446744073709551616", error: { name: "Error", message: "no space" }, self: "[seen above]" }
      })
    })
  )

  it.effect("tells a cause with its stack", () =>
    Effect.gen(function* () {
      const failing = Effect.catchCause(Effect.die(new Error("broken")), (cause) => Effect.logError("failed", cause))
      const [line] = (yield* logged(failing)).objects
      assert.match(JSON.stringify(line?.data), /"cause":"Error: broken\\n.*Logging\.test\.ts/)
    })
  )

  it.effect("is left out below the level that is asked for", () =>
    Effect.gen(function* () {
      const both = Effect.andThen(Effect.logDebug("low"), Effect.logError("high"))
      assert.deepStrictEqual(
        (yield* logged(both)).objects.map(({ message }) => message),
        ["high"]
      )
      assert.lengthOf((yield* logged(both, { level: "Debug" })).texts, 2)
      assert.lengthOf((yield* logged(both, { level: "None" })).texts, 0)
    })
  )

  it.effect("is made for people on a terminal, unless the format is given", () =>
    Effect.gen(function* () {
      const line = Effect.logInfo("listening", { port: 1 })
      const [text = ""] = (yield* logged(line, {}, new Lines(true))).texts
      const [green, grey, plain] = ["\u001b[32m", "\u001b[90m", "\u001b[0m"]
      assert.strictEqual(text, `00:00:00.000 ${green}info ${plain} files      listening ${grey}{"port":1}${plain}\n`)
      assert.lengthOf((yield* logged(line, { format: "json" }, new Lines(true))).objects, 1)
      assert.match((yield* logged(line, { format: "pretty" })).texts[0] ?? "", /^00:00:00/)
    })
  )
})

layer(Served.layer())("a log line of a request", (it) => {
  it.effect("has the request's id and the ids of its caller's trace", () =>
    Effect.gen(function* () {
      const { lines } = yield* Served
      const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
      const headers = { "x-request-id": "logged-1", traceparent: `00-${trace}-00f067aa0ba902b7-01` }
      assert.strictEqual((yield* ask("GET", "/api/things/logged", { headers })).status, 200)
      const [line, ...more] = lines.objects.filter(({ message }) => message === "handled")
      assert.lengthOf(more, 0)
      assert.deepInclude(line, { requestId: "logged-1", service: "utility", data: { answer: 42 } })
      assert.isString(line?.operation)
      assert.strictEqual(line?.traceId, trace)
      assert.match(String(line?.spanId), /^[0-9a-f]{16}$/)
    })
  )
})
