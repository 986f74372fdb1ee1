import { assert, describe, layer } from "@effect/vitest"
import { ConfigKey } from "@opsbuddy/contract/Utility"
import { Effect, type Layer, type Schema } from "effect"
import { ConfigStore } from "../src/ConfigStore.ts"

const key = (text: string) => ConfigKey.make(text)

/** Every value that JSON has, and those that a store tends to lose. */
const values: ReadonlyArray<readonly [name: string, value: Schema.Json]> = [
  ["null", null],
  ["false", false],
  ["zero", 0],
  ["smallest number", 5e-324],
  ["largest integer", Number.MAX_SAFE_INTEGER],
  ["empty text", ""],
  ["text of all kinds", "\u0000 \ud83d\ude00 \u2028 \ufeff \ud800 '\"\\"],
  ["empty array", []],
  ["empty object", {}],
  ["nested", { a: [{ b: [null, [[]]] }] }],
  ["large", Array.from({ length: 50_000 }, (_, index) => ({ index }))],
  ["names of Object.prototype", JSON.parse('{"__proto__":{"x":1},"constructor":1,"hasOwnProperty":2}')]
]

/** What every `ConfigStore` does. */
export const conformance = <E>(name: string, store: Layer.Layer<ConfigStore, E>) =>
  describe(`ConfigStore: ${name}`, () => {
    layer(store)((it) => {
      for (const [kind, value] of values) {
        it.effect(`gives back the value as it was set: ${kind}`, () =>
          Effect.gen(function* () {
            const configs = yield* ConfigStore
            const set = yield* configs.set(key("value"), value, "ada")
            const got = yield* configs.get(key("value"))
            assert.deepStrictEqual(got, set)
            // As text, because comparing objects does not see a key named `__proto__`.
            assert.strictEqual(JSON.stringify(got.value), JSON.stringify(value))
          })
        )
      }

      it.effect("counts versions by one, keeps who changed it, and begins again after a removal", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          const versions = yield* Effect.forEach(["ada", "bob", "bob"], (by) => configs.set(key("counted"), 1, by))
          assert.deepStrictEqual(
            versions.map(({ modifiedBy, version }) => [version, modifiedBy]),
            [
              [1, "ada"],
              [2, "bob"],
              [3, "bob"]
            ]
          )
          yield* configs.remove(key("counted"))
          assert.strictEqual((yield* configs.set(key("counted"), 1, "ada")).version, 1)
        })
      )

      it.effect("gives each of many simultaneous changes a version of its own", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          const set = yield* Effect.all(
            Array.from({ length: 50 }, (_, index) => configs.set(key("contended"), index, "ada")),
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

      it.effect("knows keys exactly, with their case", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          yield* configs.set(key("Case"), 1, "ada")
          assert.deepInclude(yield* Effect.flip(configs.get(key("case"))), { _tag: "ConfigNotFound", key: key("case") })
          assert.deepInclude(yield* Effect.flip(configs.remove(key("case"))), {
            _tag: "ConfigNotFound",
            key: key("case")
          })
          yield* configs.remove(key("Case"))
          assert.deepInclude(yield* Effect.flip(configs.remove(key("Case"))), { _tag: "ConfigNotFound" })
        })
      )

      it.effect("lists by key with a prefix that has no special characters, page by page, each entry once", () =>
        Effect.gen(function* () {
          const configs = yield* ConfigStore
          const keys = ["list.a", "list.B", "list._", "list.a.b", "list.z", "listX", "lisu", "LIST.a"].map(key)
          for (const each of keys) yield* configs.set(each, each, "ada")
          const expected = ["list.B", "list._", "list.a", "list.a.b", "list.z"]
          const listed: Array<string> = []
          let cursor: string | undefined
          do {
            const page = yield* configs.list({ prefix: "list.", limit: 2, ...(cursor === undefined ? {} : { cursor }) })
            listed.push(...page.items.map((entry) => entry.key))
            // What comes and goes behind the cursor disturbs nothing.
            yield* configs.set(key("list.A0"), 0, "ada")
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
