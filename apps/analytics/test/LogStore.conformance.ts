import { assert, layer } from "@effect/vitest"
import { LogLevel } from "@opsbuddy/contract/Analytics"
import { RequestId } from "@opsbuddy/contract/Problems"
import { Effect, type Layer, Schema } from "effect"
import { type LogQuestion, LogStore } from "../src/LogStore.ts"
import { entry, time } from "./stores.ts"

const append = Effect.fnUntraced(function* (...entries: ReadonlyArray<ReturnType<typeof entry>>) {
  yield* (yield* LogStore).append(entries, time(0))
})

const messages = Effect.fnUntraced(function* (question: Partial<LogQuestion>) {
  const page = yield* (yield* LogStore).list({ limit: 1000, ...question })
  return page.items.map((item) => item.message)
})

const words = ["Error", "error 100%", "a_b", "axb", 'it\'s "so"', "Äpfel", "\u0000\\%", "日本", "", "😀 end"]

const Entries = Schema.Array(
  Schema.Struct({
    millis: Schema.Int.check(Schema.isBetween({ minimum: -5, maximum: 5 })),
    level: LogLevel,
    message: Schema.Literals(words),
    requestId: Schema.optionalKey(Schema.Literals(["r1", "r2"]).pipe(Schema.decodeTo(RequestId)))
  })
).check(Schema.isMaxLength(40))

const Filter = Schema.Struct({
  from: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: -6, maximum: 6 }))),
  to: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: -6, maximum: 6 }))),
  level: Schema.optionalKey(LogLevel),
  text: Schema.optionalKey(Schema.Literals(["ERROR", "%", "_", "'", '"', "äPF", "\\", "本", "", "😀", "none"]))
})

/** What every `LogStore` must do. */
export const conformance = <E>(name: string, store: Layer.Layer<LogStore, E>) =>
  layer(store)(`LogStore over ${name}`, (it) => {
    let run = 0

    it.effect("gives an entry back as it came, with every member or only the required ones", () =>
      Effect.gen(function* () {
        const service = `service ${run++}`
        const data = String.raw`{"z":1,"a":[null,true,{"":-1.5e300}],"2":9007199254740993,"__proto__":"x","text":"\ud800 ü"}`
        const full = entry({
          service,
          timestamp: time(1_767_225_600_123),
          message: "line 1\nline 2 \u0000 'quoted' 日本 😀",
          logger: "a.b",
          operation: "run",
          requestId: RequestId.make("r/1"),
          traceId: "t".repeat(32),
          spanId: "s".repeat(16),
          data
        })
        const bare = entry({ service, message: "", timestamp: time(0) })
        yield* append(bare, full)
        const { items } = yield* (yield* LogStore).list({ service, limit: 10 })
        assert.deepStrictEqual(items, [full, bare])
      })
    )

    it.effect("keeps any JSON as data, null among it", () =>
      Effect.gen(function* () {
        const service = `service ${run++}`
        const all = ["null", "false", "0", '""', "[]", "{ }", "[[]]"]
        yield* append(...all.map((data) => entry({ service, data })))
        const { items } = yield* (yield* LogStore).list({ service, limit: 10 })
        assert.deepStrictEqual(items.map((item) => item.data).toReversed(), all)
      })
    )

    it.effect("keeps the first and the last time that there are", () =>
      Effect.gen(function* () {
        const service = `service ${run++}`
        const first = time(-8_640_000_000_000_000)
        const last = time(8_640_000_000_000_000)
        yield* append(entry({ service, timestamp: last }), entry({ service, timestamp: first }))
        const { items } = yield* (yield* LogStore).list({ service, limit: 10, from: first })
        assert.deepStrictEqual(
          items.map((item) => item.timestamp),
          [last, first]
        )
      })
    )

    it.effect.prop("lists what a plain filter finds, newest first", [Entries, Filter], ([generated, filter]) =>
      Effect.gen(function* () {
        const service = `service ${run++}`
        const entries = generated.map(({ millis, ...others }) => entry({ ...others, service, timestamp: time(millis) }))
        yield* append(...entries)
        yield* append(entry({ service: "another", timestamp: time(0), message: "Error" }))
        const expected = generated
          .filter((item) => filter.from === undefined || item.millis >= filter.from)
          .filter((item) => filter.to === undefined || item.millis < filter.to)
          .filter((item) => LogLevel.literals.indexOf(item.level) >= LogLevel.literals.indexOf(filter.level ?? "trace"))
          .filter((item) => item.message.toLowerCase().includes((filter.text ?? "").toLowerCase()))
          .map((item, index) => ({ item, index }))
          .toSorted((a, b) => b.item.millis - a.item.millis || b.index - a.index)
        const { from, to, ...others } = filter
        const actual = yield* messages({
          service,
          ...others,
          ...(from === undefined ? {} : { from: time(from) }),
          ...(to === undefined ? {} : { to: time(to) })
        })
        assert.deepStrictEqual(
          actual,
          expected.map(({ item }) => item.message)
        )
        const requestId = RequestId.make("r1")
        assert.deepStrictEqual(yield* messages({ service, requestId }), ofRequest(entries, requestId))
      })
    )

    it.effect.prop(
      "pages through entries without skipping or repeating any, while new ones arrive",
      [Entries, Entries, Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 7 }))],
      ([generated, arriving, limit]) =>
        Effect.gen(function* () {
          const service = `service ${run++}`
          const store = yield* LogStore
          const numbered = (items: typeof generated, word: string) =>
            items.map(({ millis }, index) => entry({ service, timestamp: time(millis), message: `${word} ${index}` }))
          yield* store.append(numbered(generated, "old"), time(0))
          const before = yield* messages({ service })
          const seen: Array<string> = []
          const rest = numbered(arriving, "new")
          let question: LogQuestion = { service, limit }
          for (;;) {
            const page = yield* store.list(question)
            assert.isAtMost(page.items.length, limit)
            seen.push(...page.items.map((item) => item.message))
            if (page.next === undefined) break
            question = { service, limit, before: page.next }
            yield* store.append(rest.splice(0, 3), time(0))
          }
          assert.deepStrictEqual(
            seen.filter((message) => message.startsWith("old")),
            before
          )
          assert.strictEqual(new Set(seen).size, seen.length)
        })
    )

    it.effect("gives an entry without a time that of its arrival", () =>
      Effect.gen(function* () {
        const service = `service ${run++}`
        const store = yield* LogStore
        yield* store.append([{ level: "info", service, message: "m" }, entry({ service, timestamp: time(5) })], time(7))
        const { items } = yield* store.list({ service, limit: 10 })
        assert.deepStrictEqual(
          items.map((item) => item.timestamp),
          [time(7), time(5)]
        )
      })
    )

    it.effect("tells a request's entries oldest first, and no more than asked for", () =>
      Effect.gen(function* () {
        const requestId = RequestId.make(`request-${run++}`)
        const store = yield* LogStore
        yield* append(
          entry({ requestId, timestamp: time(3), message: "c" }),
          entry({ requestId, timestamp: time(1), message: "a" }),
          entry({ timestamp: time(1), message: "another" }),
          entry({ requestId, timestamp: time(1), message: "b" })
        )
        const found = yield* store.ofRequest(requestId, 10)
        assert.isFalse(found.more)
        assert.isTrue((yield* store.ofRequest(requestId, 2)).more)
        assert.deepStrictEqual(
          found.items.map((item) => item.message),
          ["a", "b", "c"]
        )
        assert.deepStrictEqual(
          (yield* store.ofRequest(requestId, 2)).items.map((item) => item.message),
          ["a", "b"]
        )
      })
    )
  })

const ofRequest = (entries: ReadonlyArray<ReturnType<typeof entry>>, id: RequestId) =>
  entries
    .map((item, index) => ({ item, index }))
    .filter(({ item }) => item.requestId === id)
    .toSorted((a, b) => b.item.timestamp.epochMilliseconds - a.item.timestamp.epochMilliseconds || b.index - a.index)
    .map(({ item }) => item.message)
