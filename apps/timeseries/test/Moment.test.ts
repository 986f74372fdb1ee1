import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Moment from "../src/Moment.ts"

const now = 1_800_000_000_123_456_789n
const at = (text: string) => Moment.parseMoment(text, now)

describe("Moment", () => {
  it("reads now, durations, nanoseconds and RFC 3339", () => {
    assert.strictEqual(at("now"), now)
    assert.strictEqual(at("-1h"), now - 3_600_000_000_000n)
    assert.strictEqual(at("+90s"), now + 90_000_000_000n)
    assert.strictEqual(at("-2w"), now - 14n * 86_400_000_000_000n)
    assert.strictEqual(at("-5"), -5n)
    assert.strictEqual(at("1800000000123456789"), now)
    assert.strictEqual(at("1970-01-01T00:00:00.000000001Z"), 1n)
    assert.strictEqual(at("1969-12-31T23:59:59.5Z"), -500_000_000n)
    assert.strictEqual(at("2026-02-28t01:00:00+01:00"), at("2026-02-28T00:00:00Z"))
    assert.strictEqual(at("2026-02-28T00:00:00-00:30"), at("2026-02-28T00:30:00z"))
    assert.strictEqual(at("2024-02-29T00:00:00Z"), 1_709_164_800_000_000_000n)
  })

  it("moves what lies outside of 64 bits to the nearest time that can be stored", () => {
    assert.strictEqual(at("0001-01-01T00:00:00Z"), Moment.earliest)
    assert.strictEqual(at("9999-12-31T23:59:59Z"), Moment.latest)
    assert.strictEqual(at("-99999999999w"), Moment.earliest)
  })

  it("refuses what is none of them", () => {
    for (const text of [
      "yesterday",
      "1h",
      "-1y",
      "-1.5h",
      "1.5",
      "2026-01-01",
      "2026-01-01T00:00:00",
      "2026-02-29T00:00:00Z",
      "2026-04-31T00:00:00Z",
      "2026-13-01T00:00:00Z",
      "2026-01-01T24:00:00Z",
      "2026-01-01T00:00:00.1234567890Z",
      "2026-01-01T00:00:00+24:00",
      " now"
    ]) {
      assert.isUndefined(at(text), text)
    }
  })

  it("writes no more digits of a second than are needed", () => {
    assert.strictEqual(Moment.format(0n), "1970-01-01T00:00:00Z")
    assert.strictEqual(Moment.format(1_500_000_000n), "1970-01-01T00:00:01.5Z")
    assert.strictEqual(Moment.format(-1n), "1969-12-31T23:59:59.999999999Z")
    assert.strictEqual(Moment.format(Moment.earliest), "1677-09-21T00:12:43.145224193Z")
    assert.strictEqual(Moment.format(Moment.latest), "2262-04-11T23:47:16.854775807Z")
  })

  const Time = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: Moment.earliest, maximum: Moment.latest }))

  it.prop("reads every time that it writes, without losing a digit", [Time], ([time]) => {
    assert.strictEqual(at(Moment.format(time)), time)
  })
})
