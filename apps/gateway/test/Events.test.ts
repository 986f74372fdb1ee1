import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as EventStream from "../src/EventStream.ts"
import * as Events from "../src/Events.ts"
import { ask, open, post } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

const release = (port: number, reason: string) =>
  Effect.gen(function* () {
    yield* post(port, "/api/gateway/upstreams/shop/force", { state: "open", reason })
    yield* post(port, "/api/gateway/upstreams/shop/release", { reason })
  })

const behind = Effect.gen(function* () {
  const upstream = yield* Upstream.make()
  return yield* Gateway.make({ targets: [upstream.url], upstream: { health: "off" } })
})

/** The ids in a stream of events. */
const idsOf = (text: string) => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))

describe("Events", () => {
  it.live("are listed oldest first, after one that is known, and of one upstream", () =>
    Effect.gen(function* () {
      const port = yield* behind
      yield* release(port, "a test")
      const list = (query: string) =>
        Effect.map(ask(port, `/api/gateway/events${query}`), (answer) =>
          (answer.json().items as ReadonlyArray<{ readonly id: number; readonly kind: string }>).map(
            ({ id, kind }) => `${id} ${kind}`
          )
        )
      assert.deepStrictEqual(yield* list(""), ["1 config-loaded", "2 circuit-changed", "3 circuit-changed"])
      assert.deepStrictEqual(yield* list("?after=2"), ["3 circuit-changed"])
      assert.deepStrictEqual(yield* list("?upstream=shop"), ["2 circuit-changed", "3 circuit-changed"])
      assert.deepStrictEqual(yield* list("?upstream=market"), [])
    })
  )

  it.live("come as they happen, and again from where a reader was", () =>
    Effect.gen(function* () {
      const port = yield* behind
      yield* release(port, "before")
      const live = yield* open(port, "/api/gateway/events/stream")
      const { headers } = yield* Effect.promise(() => live.head)
      const of = (name: string) => headers.find(([key]) => key.toLowerCase() === name)?.[1]
      assert.match(of("content-type") ?? "", /^text\/event-stream/)
      assert.strictEqual(of("cache-control"), "no-store")
      yield* release(port, "now")
      const text = yield* Gateway.eventually(
        Effect.sync(() => live.received().toString()),
        (seen) => idsOf(seen).length === 2
      )
      assert.deepStrictEqual(idsOf(text), [4, 5])
      const [first = ""] = text.match(/^id: 4\n(.|\n)*?\n\n/m) ?? []
      const [, kind, data = ""] = first.split("\n")
      assert.strictEqual(kind, "event: circuit-changed")
      assert.deepInclude(JSON.parse(data.slice("data: ".length)), {
        id: 4,
        kind: "circuit-changed",
        upstream: "shop",
        from: "closed",
        to: "forced-open",
        cause: "forced open: now"
      })
      const seenFrom = (id: string, count: number) =>
        Effect.scoped(
          Effect.gen(function* () {
            const resumed = yield* open(port, "/api/gateway/events/stream", { headers: { "Last-Event-ID": id } })
            yield* Gateway.eventually(
              Effect.sync(() => resumed.received().toString()),
              (seen) => idsOf(seen).length === count
            )
            return idsOf(resumed.received().toString())
          })
        )
      assert.deepStrictEqual(yield* seenFrom("2", 3), [3, 4, 5])
      // Of another process that has had more: all of this one's are new.
      assert.deepStrictEqual(yield* seenFrom("99", 5), [1, 2, 3, 4, 5])
    })
  )

  it("are kept up to ten thousand", () => {
    const events = Events.make()
    for (let i = 0; i < 25_000; i++) events.add({ kind: "config-loaded", cause: `${i}` }, 0)
    const kept = events.list()
    assert.lengthOf(kept, 10_000)
    assert.deepStrictEqual([kept[0]?.id, kept.at(-1)?.id], [15_001, 25_000])
    assert.lengthOf(events.list(24_990), 10)
    assert.lengthOf(events.list(25_000), 0)
  })
})

/** The text of a stream as it is taken, piece by piece. */
const reader = (events: ReturnType<typeof Events.make>, lastEventId?: string) =>
  Effect.gen(function* () {
    const { body } = EventStream.answer(events, lastEventId)
    if (body._tag !== "Stream") return assert.fail("the answer is no stream")
    const pull = yield* Stream.toPull(body.stream)
    const decoder = new TextDecoder()
    return Effect.map(pull, (chunks) => chunks.map((chunk) => decoder.decode(chunk)).join(""))
  })

describe("A stream of events", () => {
  it.effect("has a comment at once and every 15 s", () =>
    Effect.gen(function* () {
      const next = yield* reader(Events.make())
      assert.strictEqual(yield* next, ": connected\n\n")
      const beats = yield* Effect.forkChild(Effect.all([next, next]), { startImmediately: true })
      yield* TestClock.adjust("14 seconds")
      assert.isUndefined(beats.pollUnsafe())
      yield* TestClock.adjust("16 seconds")
      assert.deepStrictEqual(yield* Fiber.join(beats), [": \n\n", ": \n\n"])
    })
  )

  it.effect("tells a slow reader how many it has missed, and has it go on", () =>
    Effect.gen(function* () {
      const events = Events.make()
      const next = yield* reader(events)
      yield* next
      for (let i = 0; i < 5000; i++) events.add({ kind: "config-loaded", cause: `${i}` }, 0)
      let text = ""
      while (idsOf(text).length < 1000) text += yield* next
      const dropped = [...text.matchAll(/event: dropped\ndata: (.*)\n\n/g)].map(
        ([, data = ""]) => JSON.parse(data).count
      )
      const missed = dropped.reduce((sum, count) => sum + count, 0)
      assert.strictEqual(missed + idsOf(text).length, 5000)
      assert.isAtLeast(missed, 3900)
      events.add({ kind: "config-loaded", cause: "after" }, 0)
      assert.deepStrictEqual(idsOf(yield* next), [5001])
    })
  )

  it.effect("is let go of when its reader leaves", () =>
    Effect.gen(function* () {
      const events = Events.make()
      let listening = 0
      const counted = {
        ...events,
        listen: (listener: Parameters<typeof events.listen>[0]) => {
          listening++
          const stop = events.listen(listener)
          return () => {
            listening--
            stop()
          }
        }
      }
      const exit = yield* Effect.exit(
        Effect.scoped(
          Effect.gen(function* () {
            const next = yield* reader(counted)
            yield* next
            assert.strictEqual(listening, 1)
            return yield* Effect.interrupt
          })
        )
      )
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.strictEqual(listening, 0)
    })
  )
})
