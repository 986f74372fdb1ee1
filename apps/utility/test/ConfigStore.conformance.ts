import { assert, describe, layer } from "@effect/vitest"
import { PreconditionFailed } from "@opsbuddy/contract/Problems"
import { ConfigKey } from "@opsbuddy/contract/Utility"
import * as Conditions from "@opsbuddy/runtime/Conditions"
import { Effect, type Layer } from "effect"
import { Headers } from "effect/http"
import { ConfigStore } from "../src/ConfigStore.ts"

const key = (text: string) => ConfigKey.make(text)

/** Texts that a store tends to change. */
const values: ReadonlyArray<readonly [name: string, json: string]> = [
  ["null", "null"],
  ["a number with more digits than a double has", "[0.1000000000000000055,1e400,-0,9007199254740993,1.0]"],
  ["empty text", '""'],
  ["text of all kinds", JSON.stringify("\u0000 \ud83d\ude00 \u2028 \ufeff '\"\\")],
  ["nested", '{"a":[{"b":[null,[[]]]}]}'],
  ["large", JSON.stringify(Array.from({ length: 50_000 }, (_, index) => ({ index })))],
  ["names of Object.prototype", '{"__proto__":{"x":1},"constructor":1,"hasOwnProperty":2}']
]

const conditionsOf = (headers: Record<string, string>, method = "PUT") =>
  Conditions.fromHeaders(method, Headers.fromInput(headers))
const versionIs = (version: number) => conditionsOf({ "if-match": `"${version}"` })

/** What every `ConfigStore` does. */
export const conformance = <E>(name: string, store: Layer.Layer<ConfigStore, E>) =>
  describe(`ConfigStore: ${name}`, () => {
    layer(store)((it) => {
      for (const [kind, value] of values) {
        it.effect(`gives back the value as it was set: ${kind}`, () =>
          Effect.gen(function* () {
            const configs = yield* ConfigStore
            const set = yield* configs.set(key("value"), value, "ada", Conditions.none)
            const got = yield* configs.get(key("value"))
            assert.deepStrictEqual(got, set)
            assert.strictEqual(got.json, value)
          })
        )
      }

      it.effect("counts versions by one, keeps who changed it, and goes on after a removal", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          const versions = yield* Effect.forEach(["ada", "bob", "bob"], (by) =>
            configs.set(key("counted"), "1", by, Conditions.none)
          )
          assert.deepStrictEqual(
            versions.map(({ modifiedBy, version }) => [version, modifiedBy]),
            [
              [1, "ada"],
              [2, "bob"],
              [3, "bob"]
            ]
          )
          for (const next of [4, 5]) {
            yield* configs.remove(key("counted"), Conditions.none)
            const again = yield* configs.set(key("counted"), "1", "ada", Conditions.none)
            assert.strictEqual(again.version, next)
          }
          // What was there before the removal is not what is there now.
          assert.deepInclude(yield* Effect.flip(configs.set(key("counted"), "2", "ada", yield* versionIs(3))), {
            _tag: "PreconditionFailed",
            etag: '"5"'
          })
        })
      )

      it.effect("gives each of many simultaneous changes a version of its own", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          const set = yield* Effect.all(
            Array.from({ length: 50 }, (_, index) => configs.set(key("contended"), `${index}`, "ada", Conditions.none)),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(
            set.map(({ version }) => version).sort((a, b) => a - b),
            Array.from({ length: 50 }, (_, index) => index + 1)
          )
          const last = set.find(({ version }) => version === 50)
          assert.deepStrictEqual(yield* configs.get(key("contended")), last)
        })
      )

      it.effect("changes only what is as the conditions say, and tells what is there instead", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          const at = key("conditional")
          const set = (json: string, headers: Record<string, string>) =>
            Effect.flatMap(conditionsOf(headers), (conditions) => configs.set(at, json, "ada", conditions))
          const remove = (headers: Record<string, string>) =>
            Effect.flatMap(conditionsOf(headers, "DELETE"), (conditions) => configs.remove(at, conditions))
          /** The etag that a refusal tells, if any. */
          const refused = <A, E, R>(change: Effect.Effect<A, E, R>) =>
            Effect.map(Effect.flip(change), (problem) => {
              assert.instanceOf(problem, PreconditionFailed)
              return problem instanceof PreconditionFailed ? problem.etag : undefined
            })
          assert.isUndefined(yield* refused(set("0", { "if-match": "*" })))
          assert.isUndefined(yield* refused(set("0", { "if-match": '"1"' })))
          assert.isUndefined(yield* refused(remove({ "if-match": "*" })))
          assert.strictEqual((yield* set("1", { "if-none-match": "*" })).version, 1)
          assert.strictEqual(yield* refused(set("0", { "if-none-match": "*" })), '"1"')
          assert.strictEqual(yield* refused(set("0", { "if-match": '"2"' })), '"1"')
          assert.strictEqual(yield* refused(set("0", { "if-match": 'W/"1"' })), '"1"')
          assert.strictEqual(yield* refused(remove({ "if-match": '"0", "2"' })), '"1"')
          assert.deepInclude(yield* configs.get(at), { json: "1", version: 1 })
          assert.strictEqual((yield* set("2", { "if-match": '"7", "1"' })).version, 2)
          const past = "Thu, 01 Jan 1970 00:00:00 GMT"
          // The clock of the test stands at 1970.
          assert.strictEqual((yield* set("3", { "if-unmodified-since": past })).version, 3)
          yield* remove({ "if-match": '"3"' })
          assert.deepInclude(yield* Effect.flip(configs.get(at)), { _tag: "ConfigNotFound" })
          assert.deepInclude(yield* Effect.flip(remove({})), { _tag: "ConfigNotFound" })
        })
      )

      it.effect("loses no change of clients that read, change and write at once under conditions", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          const at = key("counter")
          yield* configs.set(at, "0", "ada", Conditions.none)
          const increment: Effect.Effect<void, unknown> = Effect.suspend(() =>
            Effect.flatMap(configs.get(at), ({ json, version }) =>
              Effect.flatMap(versionIs(version), (conditions) =>
                configs.set(at, `${Number(json) + 1}`, "ada", conditions)
              ).pipe(
                Effect.asVoid,
                Effect.catchTag("PreconditionFailed", () => Effect.andThen(Effect.yieldNow, increment))
              )
            )
          )
          yield* Effect.forEach(Array(4), () => Effect.forEach(Array(50), () => increment), { concurrency: 4 })
          assert.deepInclude(yield* configs.get(at), { json: "200", version: 201 })
        })
      )

      it.effect("knows keys exactly, with their case", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          yield* configs.set(key("Case"), "1", "ada", Conditions.none)
          assert.deepInclude(yield* Effect.flip(configs.get(key("case"))), { _tag: "ConfigNotFound", key: key("case") })
          assert.deepInclude(yield* Effect.flip(configs.remove(key("case"), Conditions.none)), {
            _tag: "ConfigNotFound",
            key: key("case")
          })
          yield* configs.remove(key("Case"), Conditions.none)
          assert.deepInclude(yield* Effect.flip(configs.remove(key("Case"), Conditions.none)), {
            _tag: "ConfigNotFound"
          })
        })
      )

      it.effect("lists by key with a prefix that has no special characters, page by page, each entry once", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          const keys = ["list.a", "list.B", "list._", "list.a.b", "list.z", "listX", "lisu", "LIST.a"].map(key)
          for (const each of keys) yield* configs.set(each, `"${each}"`, "ada", Conditions.none)
          const expected = ["list.B", "list._", "list.a", "list.a.b", "list.z"]
          const listed: Array<string> = []
          let cursor: string | undefined
          do {
            const page = yield* configs.list({ prefix: "list.", limit: 2, ...(cursor === undefined ? {} : { cursor }) })
            listed.push(...page.items.map((entry) => entry.key))
            // What comes and goes behind the cursor disturbs nothing.
            yield* configs.set(key("list.A0"), "0", "ada", Conditions.none)
            cursor = page.nextCursor
          } while (cursor !== undefined)
          assert.deepStrictEqual(listed, expected)
          assert.deepStrictEqual(yield* configs.list({ prefix: "list.", cursor: "list.z" }), { items: [] })
          for (const prefix of ["%", "lis_", "*", "\u{10ffff}"]) {
            assert.deepStrictEqual(yield* configs.list({ prefix }), { items: [] })
          }
          const exact = yield* configs.list({ prefix: "list.a", limit: 2 })
          assert.deepStrictEqual([exact.items.length, exact.nextCursor], [2, undefined])
        })
      )
    })
  })
