import { assert, describe, it } from "@effect/vitest"
import { Timestamp } from "@opsbuddy/contract/Wire"
import { Effect, Schema } from "effect"

const decode = (text: unknown) => Schema.decodeUnknownEffect(Timestamp)(text)
const encode = Schema.encodeUnknownEffect(Timestamp)

/** What is read, and what it is in UTC. */
const times: ReadonlyArray<readonly [string, string]> = [
  ["2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z"],
  ["2026-01-31t09:30:00z", "2026-01-31T09:30:00.000Z"],
  ["2026-01-31T09:30:00.5Z", "2026-01-31T09:30:00.500Z"],
  ["2026-01-31T09:30:00.123456789Z", "2026-01-31T09:30:00.123Z"],
  ["2026-01-31T23:59:59.999999999Z", "2026-01-31T23:59:59.999Z"],
  ["1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"],
  ["2026-01-31T09:30:00+02:00", "2026-01-31T07:30:00.000Z"],
  ["2026-01-31T22:30:00-05:45", "2026-02-01T04:15:00.000Z"],
  ["2026-01-31T09:30:00-00:00", "2026-01-31T09:30:00.000Z"],
  ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"],
  ["2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"],
  ["0000-02-29T00:00:00Z", "0000-02-29T00:00:00.000Z"],
  ["0050-06-01T00:00:00Z", "0050-06-01T00:00:00.000Z"],
  ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
  // The leap second at the end of 2016, in UTC and elsewhere.
  ["2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"],
  ["2016-12-31T15:59:60.25-08:00", "2017-01-01T00:00:00.000Z"]
]

const misfits = [
  "",
  "1",
  "1767225600",
  "1767225600000",
  "now",
  "2026",
  "2026-01",
  "2026-01-31",
  "2026-01-31T09:30Z",
  "2026-01-31T09:30:00",
  "2026-01-31 09:30:00Z",
  "2026-01-31T09:30:00 Z",
  " 2026-01-31T09:30:00Z",
  "2026-01-31T09:30:00Z\n",
  "20260131T093000Z",
  "2026-031T09:30:00Z",
  "2026-W05-6T09:30:00Z",
  "+002026-01-31T09:30:00Z",
  "26-01-31T09:30:00Z",
  "2026-1-31T09:30:00Z",
  "2026-00-10T00:00:00Z",
  "2026-13-10T00:00:00Z",
  "2026-01-00T00:00:00Z",
  "2026-01-32T00:00:00Z",
  "2026-04-31T00:00:00Z",
  "2024-02-30T00:00:00Z",
  "2026-02-29T00:00:00Z",
  "1900-02-29T00:00:00Z",
  "2026-01-31T24:00:00Z",
  "2026-01-31T09:60:00Z",
  "2026-01-31T09:30:61Z",
  "2026-01-31T09:30:60Z",
  "2016-12-31T23:59:60+01:00",
  "2026-01-31T09:30:00.Z",
  "2026-01-31T09:30:00,5Z",
  "2026-01-31T09:30:00.1234567890Z",
  "2026-01-31T09:30:00+0200",
  "2026-01-31T09:30:00+02",
  "2026-01-31T09:30:00+24:00",
  "2026-01-31T09:30:00+02:60",
  "2026-01-31T09:30:00UTC",
  "Sat, 31 Jan 2026 09:30:00 GMT",
  "0000-01-01T00:00:00+00:01",
  "9999-12-31T23:59:59-00:01",
  "\u0662026-01-31T09:30:00Z"
]

describe("a timestamp", () => {
  for (const [text, utc] of times) {
    it.effect(`reads ${text}`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* encode(yield* decode(text)), utc)
      })
    )
  }

  it.effect("is refused where it is no RFC 3339, with what was expected and what came", () =>
    Effect.gen(function* () {
      for (const text of misfits) {
        const { message } = yield* Effect.flip(decode(text))
        assert.strictEqual(
          message,
          `Expected an RFC 3339 time such as 2026-01-31T09:30:00Z, got ${JSON.stringify(text)}`,
          text
        )
      }
      const long = yield* Effect.flip(decode("x".repeat(1000)))
      assert.isBelow(long.message.length, 200)
    })
  )

  it.effect("says what a plus became that stood in a query", () =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(decode("2026-01-31T09:30:00 02:00"))
      assert.include(message, "; write %2B for a + in a query")
    })
  )

  it.effect("is a text, and no number", () =>
    Effect.gen(function* () {
      for (const value of [1, 1767225600000, null, true, {}]) yield* Effect.flip(decode(value))
    })
  )
})
