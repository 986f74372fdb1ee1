import { assert, layer } from "@effect/vitest"
import type { InvalidLines } from "@opsbuddy/contract/Timeseries"
import { Effect, type Layer } from "effect"
import { SeriesStore } from "../src/SeriesStore.ts"
import { ask, rows, second, value, write } from "./asking.ts"

/** How every backend of `SeriesStore` keeps what is written. */
export const conformance = <E>(name: string, store: Layer.Layer<SeriesStore, E>) =>
  layer(store)(`SeriesStore writing: ${name}`, (it) => {
    it.effect("answers points as they were written, a series apart, in the order of time", () =>
      Effect.gen(function* () {
        yield* write(`a,host=y v=2,s="two" 2000000000\na,host=x v=1 3000000001\na,host=x v=3,b=f 1000000000\na v=0 5`)
        assert.deepStrictEqual(
          yield* ask({ measurement: "a", select: [value, { field: "s" }, { field: "b", as: "flag" }] }),
          [
            {
              measurement: "a",
              tags: {},
              columns: ["time", "v", "s", "flag"],
              rows: [["1970-01-01T00:00:00.000000005Z", 0, null, null]]
            },
            {
              measurement: "a",
              tags: { host: "x" },
              columns: ["time", "v", "s", "flag"],
              rows: [
                [second(1), 3, null, false],
                ["1970-01-01T00:00:03.000000001Z", 1, null, null]
              ]
            },
            {
              measurement: "a",
              tags: { host: "y" },
              columns: ["time", "v", "s", "flag"],
              rows: [[second(2), 2, "two", null]]
            }
          ]
        )
      })
    )

    it.effect("unites points with the same series and time, the later one's fields overwriting", () =>
      Effect.gen(function* () {
        yield* write("fold,k=1 v=1,w=1 1000000000\nfold,k=1 v=9,w=9 9000000000")
        yield* write("fold,k=1 v=2,x=5i 1000000000\nfold,k=1 w=3 1000000000\nfold,k=1 v=4 5000000000")
        const select = [value, { field: "w" }, { field: "x" }] as const
        assert.deepStrictEqual(yield* rows({ measurement: "fold", select }), [
          ["1", [second(1), 2, 3, 5], [second(5), 4, null, null], [second(9), 9, 9, null]]
        ])
      })
    )

    it.effect("keeps every digit of integers and every character of strings", () =>
      Effect.gen(function* () {
        yield* write(
          `big i=9223372036854775807i,u=18446744073709551615u,n=-9007199254740991i,s="é🚀\u0000 ""'" 1`.replace(
            '""',
            '\\"'
          )
        )
        yield* write("big i=9223372036854775807i,n=-9007199254740993i 2")
        const fields = ["i", "u", "n", "s"].map((field) => ({ field }))
        assert.deepStrictEqual(yield* rows({ measurement: "big", select: [{ field: "i" }, ...fields.slice(1)] }), [
          [
            "",
            [
              "1970-01-01T00:00:00.000000001Z",
              "9223372036854775807",
              "18446744073709551615",
              -9007199254740991,
              `é🚀\u0000 "'`
            ],
            ["1970-01-01T00:00:00.000000002Z", "9223372036854775807", null, "-9007199254740993", null]
          ]
        ])
        const select = [
          { field: "i", aggregate: "sum" },
          { field: "s", aggregate: "max" }
        ] as const
        assert.deepStrictEqual(yield* rows({ measurement: "big", select, from: "0", to: "10" }), [
          ["", ["1970-01-01T00:00:00Z", "18446744073709551614", `é🚀\u0000 "'`]]
        ])
      })
    )

    it.effect("keeps names apart that SQL would confuse, and runs none of them", () =>
      Effect.gen(function* () {
        const names = [
          "sid",
          "ts",
          "late",
          "m1",
          "f0",
          "a",
          "A",
          "é",
          "É",
          "🚀",
          'q"uote',
          "'; DROP TABLE series; --",
          "sp ace",
          "__proto__",
          "constructor",
          "$1",
          "null"
        ]
        const escaped = names.map((name) => name.replace(/[,= ]/g, "\\$&"))
        for (const [index, name] of escaped.entries()) {
          const fields = escaped.map((field, position) => `${field}=${index * 100 + position}i`).join(",")
          yield* write(`hostile-${name},${name}=${name} ${fields} 1`)
        }
        for (const [index, name] of names.entries()) {
          const [first, ...others] = names.map((field) => ({ field }))
          assert.ok(first)
          const [series, ...more] = yield* ask({
            measurement: `hostile-${name}`,
            select: [first, ...others],
            where: { [name]: name },
            groupBy: [name]
          })
          assert.lengthOf(more, 0)
          assert.deepStrictEqual(Object.entries(series?.tags ?? {}), [[name, name]])
          assert.deepStrictEqual(
            series?.rows[0]?.slice(1),
            names.map((_, position) => index * 100 + position)
          )
        }
        const known = (yield* (yield* SeriesStore).measurements).filter(({ name }) => name.startsWith("hostile-"))
        assert.deepStrictEqual(
          known.map(({ name }) => name),
          names.map((name) => `hostile-${name}`).sort()
        )
        assert.deepStrictEqual(
          known[0]?.fields.map(({ name }) => name),
          [...names].sort()
        )
      })
    )

    it.effect("refuses the whole batch when a field has another type than before, and says where", () =>
      Effect.gen(function* () {
        yield* write("typed v=1 1")
        const refused = Effect.fnUntraced(function* (text: string) {
          const error: InvalidLines = yield* Effect.filterOrFail(
            Effect.flip(write(text)),
            (error) => error._tag === "InvalidLines"
          )
          return error.lines
        })
        assert.deepStrictEqual(yield* refused("typed v=2 2\ntyped w=1,v=3i 3\nnew v=1 1\ntyped v=t 4"), [
          { line: 2, message: 'field "v" of "typed" is float, the line has integer' },
          { line: 4, message: 'field "v" of "typed" is float, the line has boolean' }
        ])
        assert.deepStrictEqual(yield* refused("typed x=1i 2\ntyped x=1u 3"), [
          { line: 2, message: 'field "x" of "typed" is integer, the line has unsigned' }
        ])
        assert.deepStrictEqual(yield* rows({ measurement: "typed", select: [value] }), [
          ["", ["1970-01-01T00:00:00.000000001Z", 1]]
        ])
        assert.strictEqual(
          (yield* Effect.flip(ask({ measurement: "new", select: [value] })))._tag,
          "MeasurementNotFound"
        )
        yield* write("typed x=t 2")
      })
    )

    it.effect("stores what many write at once, and refuses only those that conflict", () =>
      Effect.gen(function* () {
        const lines = [...Array(60).keys()].map(
          (n) => `many-${n % 3},host=h${n % 7} v=${n % 10 === 9 ? "t" : n},f${n}=1 ${n}`
        )
        const exits = yield* Effect.forEach(lines, (line) => Effect.exit(write(line)), { concurrency: "unbounded" })
        assert.deepStrictEqual(
          exits.map((exit) => exit._tag === "Success"),
          lines.map((_, n) => n % 10 !== 9)
        )
        for (const m of [0, 1, 2]) {
          const [count] = yield* rows({
            measurement: `many-${m}`,
            select: [{ field: "v", aggregate: "sum" }],
            from: "0",
            to: "99"
          })
          const expected = [...Array(60).keys()]
            .filter((n) => n % 3 === m && n % 10 !== 9)
            .reduce((sum, n) => sum + n, 0)
          assert.deepStrictEqual(count?.[1], [second(0), expected])
        }
      })
    )
  })
