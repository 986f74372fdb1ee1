import { assert, describe, it } from "@effect/vitest"
import { RequestRecord, RequestRecords } from "@opsbuddy/contract/Analytics"
import { strict } from "@opsbuddy/contract/Wire"
import { Exit, Schema } from "effect"
import { decodeUsual } from "../src/RequestRecords.ts"
import { record } from "./stores.ts"

const bySchema = Schema.decodeUnknownExit(RequestRecords, strict)
const encode = Schema.encodeSync(RequestRecords)

/** What records, and what may be in the place of one of their members, may look like when somebody else writes them. */
const names = [
  "requestId",
  "timestamp",
  "path",
  "status",
  "requestBytes",
  "durationMillis",
  "cause",
  "extra",
  "__proto__"
]
const values = [
  ...[
    undefined,
    null,
    true,
    "",
    "x",
    "a b",
    "x".repeat(129),
    0,
    -1,
    1.5,
    2 ** 53,
    1e308,
    Number.POSITIVE_INFINITY,
    Number.NaN
  ],
  ...[{}, [], { a: 1 }, ["GET"], "2026-02-30T00:00:00.000Z", "2026-02-01T24:00:00.000Z", "2026-02-01T00:00:60.000Z"],
  ...[
    "2026-02-01T00:00:00Z",
    "2026-02-01T00:00:00.000+01:00",
    "2026-02-01T00:00:00.0001Z",
    "+012026-02-01T00:00:00.000Z"
  ],
  ...["2026-13-01T00:00:00.000Z", "0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "2026-02-01"]
]

/** The fast way gives exactly what the schema gives, or leaves it to the schema. */
const agrees = (json: unknown) => {
  const usual = decodeUsual(json)
  if (usual !== undefined) assert.deepStrictEqual(Exit.succeed(usual), bySchema(json))
  return usual !== undefined
}

describe("the fast way to decode request records", () => {
  it.prop(
    "takes all records that a gateway writes, and decodes them as the schema does",
    { records: Schema.Array(RequestRecord).check(Schema.isMaxLength(5)) },
    ({ records }) => {
      // Gateways write times of four-digit years.
      const usual = records.filter(({ timestamp }) => Math.abs(timestamp.epochMilliseconds - 1e12) < 1e13)
      assert.isTrue(agrees(JSON.parse(JSON.stringify(encode(usual)))))
    },
    { arbitrary: { runs: 300 } }
  )

  it("takes nothing that the schema does not take, and nothing in another way", () => {
    const good: Readonly<Record<string, unknown>> = { ...encode([record({ id: "r" })])[0] }
    let taken = 0
    for (const name of names) {
      for (const value of values) {
        const changed = Object.fromEntries([...Object.entries(good), [name, value]])
        taken += [[changed], [good, changed], [changed, good]].filter(agrees).length
      }
      const { [name]: _, ...without } = { ...good, [name]: 1 }
      agrees([without])
    }
    assert.isAbove(taken, 50)
    for (const json of [...values, [[]], [null], [undefined], [[good]], { 0: good, length: 1 }]) agrees(json)
  })
})
