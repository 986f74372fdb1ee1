import { assert, describe, it } from "@effect/vitest"
import { Principal } from "@opsbuddy/contract/Identity"
import { RequestId } from "@opsbuddy/contract/Problems"
import { DateTime, Effect, Layer, Logger } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as Audit from "../src/Audit.ts"
import { RequestContext } from "../src/RequestContext.ts"
import * as Sqlite from "../src/Sqlite.ts"
import { StoreHealth } from "../src/StoreHealth.ts"

const layer = Layer.provideMerge(
  Audit.Audit.layer,
  Sqlite.layer({ filename: ":memory:", migrations: Audit.migrations })
).pipe(Layer.provide(StoreHealth.layer))

const action = (reason: string) => ({
  principal: new Principal({ subject: "ada", kind: "user", permissions: ["gateway:force"] }),
  action: "gateway.force",
  resource: "upstream shop",
  reason,
  detail: { state: "open" }
})

/** Five entries, a second apart. */
const five = Effect.gen(function* () {
  const audit = yield* Audit.Audit
  for (const reason of ["a", "b", "c", "d", "e"]) {
    yield* audit.record(action(reason))
    yield* TestClock.adjust("1 second")
  }
  return { audit, sql: yield* SqlClient.SqlClient }
})

const reasons = ({ items }: Audit.AuditPage) => items.map(({ reason }) => reason).join("")

describe("Audit", () => {
  it.effect("keeps who did what to what, why, when and in which request", () =>
    Effect.gen(function* () {
      const audit = yield* Audit.Audit
      const requestId = RequestId.make("r-1")
      const recorded = yield* Effect.provideService(audit.record(action("a")), RequestContext, { requestId })
      const { items } = yield* audit.list({})
      assert.deepStrictEqual(items, [recorded])
      const { hash, timestamp, ...rest } = recorded
      assert.match(hash, /^[0-9a-f]{64}$/)
      assert.strictEqual(timestamp.epochMilliseconds, 0)
      assert.deepStrictEqual(rest, {
        sequence: 1,
        principal: { subject: "ada", kind: "user" },
        action: "gateway.force",
        resource: "upstream shop",
        reason: "a",
        detail: { state: "open" },
        requestId
      })
    }).pipe(Effect.provide(layer))
  )

  it.effect("lists by pages, oldest first, from inside and to outside", () =>
    Effect.gen(function* () {
      const { audit } = yield* five
      const first = yield* audit.list({ limit: 2 })
      const second = yield* audit.list({ limit: 2, cursor: first.nextCursor })
      const third = yield* audit.list({ limit: 2, cursor: second.nextCursor })
      assert.deepStrictEqual([first, second, third].map(reasons), ["ab", "cd", "e"])
      assert.isUndefined(third.nextCursor)
      const at = (seconds: number) => DateTime.makeUnsafe(seconds * 1000)
      assert.strictEqual(reasons(yield* audit.list({ from: at(1), to: at(3) })), "bc")
      assert.strictEqual(reasons(yield* audit.list({ from: at(1), to: at(4), limit: 1 })), "b")
    }).pipe(Effect.provide(layer))
  )

  it.effect("is a whole chain, also of entries that are made at once", () =>
    Effect.gen(function* () {
      const { audit } = yield* five
      assert.isUndefined(yield* audit.firstBroken)
      yield* Effect.forEach(Array(20), () => audit.record(action("x")), { concurrency: "unbounded" })
      const { items } = yield* audit.list({ limit: 100 })
      assert.deepStrictEqual(
        items.map(({ sequence }) => sequence),
        Array.from({ length: 25 }, (_, index) => index + 1)
      )
      assert.isUndefined(yield* audit.firstBroken)
    }).pipe(Effect.provide(layer))
  )

  const tampering: ReadonlyArray<readonly [string, string, number]> = [
    ["an entry that was changed", `UPDATE audit SET entry = replace(entry, '"c"', '"x"') WHERE sequence = 3`, 3],
    ["an entry that was removed", "DELETE FROM audit WHERE sequence = 2", 3],
    ["a first entry that was removed", "DELETE FROM audit WHERE sequence = 1", 2],
    ["a hash that was changed", "UPDATE audit SET hash = substr(hash, 2) || '0' WHERE sequence = 4", 4],
    [
      "two entries that changed places",
      "UPDATE audit SET entry = (SELECT entry FROM audit b WHERE b.sequence = 5 - audit.sequence) WHERE sequence IN (2, 3)",
      2
    ],
    ["a time that was changed", "UPDATE audit SET at = at - 500 WHERE sequence = 3", 3]
  ]
  for (const [what, statement, broken] of tampering) {
    it.effect(`notices ${what}`, () =>
      Effect.gen(function* () {
        const { audit, sql } = yield* five
        yield* sql.unsafe(statement)
        assert.strictEqual(yield* audit.firstBroken, broken)
      }).pipe(Effect.provide(layer))
    )
  }

  it.effect("lists and checks thousands of entries as it does a few, also where the clock went back", () =>
    Effect.gen(function* () {
      const audit = yield* Audit.Audit
      const sql = yield* SqlClient.SqlClient
      const times = Array.from({ length: 3500 }, (_, index) => ((index * 7919) % 3500) * 1000)
      for (const [index, time] of times.entries()) {
        yield* TestClock.setTime(time)
        yield* audit.record(action(`${index}`))
      }
      const at = (seconds: number) => DateTime.makeUnsafe(seconds * 1000)
      for (const [from, to] of [
        [0, 3500],
        [100, 3400],
        [3000, 3500],
        [1000, 1002],
        [5000, 6000]
      ] as const) {
        const expected = times.flatMap((time, index) => (time >= from * 1000 && time < to * 1000 ? [`${index}`] : []))
        const listed: Array<string | undefined> = []
        let cursor: string | undefined
        do {
          const page = yield* audit.list({ from: at(from), to: at(to), limit: 999, cursor })
          assert.isAtMost(page.items.length, 999)
          listed.push(...page.items.map(({ reason }) => reason))
          cursor = page.nextCursor
        } while (cursor !== undefined)
        assert.deepStrictEqual(listed, expected)
      }
      assert.isUndefined(yield* audit.firstBroken)
      for (const sequence of [3500, 2001, 2000, 1001, 1000]) {
        yield* sql`UPDATE audit SET hash = 'x' WHERE sequence = ${sequence}`
        assert.strictEqual(yield* audit.firstBroken, sequence)
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("fails an action that cannot be recorded, and tells nobody but the log why", () => {
    const lines: Array<unknown> = []
    return Effect.gen(function* () {
      const { audit, sql } = yield* five
      yield* sql`DROP TABLE audit`
      const error = yield* Effect.flip(audit.record(action("f")))
      assert.strictEqual(error._tag, "StoreUnavailable")
      assert.notInclude(JSON.stringify(error), "audit")
      assert.deepStrictEqual(lines.map(String), ["sqlite failed", "store refuses writes,[object Object]"])
    }).pipe(Effect.provide(layer), Effect.provide(Logger.layer([Logger.make(({ message }) => lines.push(message))])))
  })
})
