import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Latency from "../src/Latency.ts"

const recorded = (samples: ReadonlyArray<number>) => {
  const latency = Latency.make()
  for (const millis of samples) Latency.record(latency, millis)
  return Latency.summary(latency)
}

/** The smallest sample that at least this share of all samples does not exceed. */
const nearestRank = (samples: ReadonlyArray<number>, share: number) =>
  samples
    .toSorted((a, b) => a - b)
    .find((millis) => samples.filter((other) => other <= millis).length >= share * samples.length)

const Samples = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))).check(
  Schema.isMinLength(1),
  Schema.isMaxLength(100)
)

describe("Latency", () => {
  it("has no summary before the first answer", () => {
    assert.isUndefined(recorded([]))
  })

  it.prop("gives the percentiles that the definition gives", { samples: Samples }, ({ samples }) => {
    assert.deepStrictEqual(recorded(samples), {
      samples: samples.length,
      p50: nearestRank(samples, 0.5) ?? -1,
      p95: nearestRank(samples, 0.95) ?? -1,
      p99: nearestRank(samples, 0.99) ?? -1
    })
  })

  it("forgets what is older than the last 512 answers", () => {
    const old = Array.from({ length: 300 }, () => 1000)
    const recent = Array.from({ length: 512 }, () => 2)
    assert.deepStrictEqual(recorded([...old, ...recent]), { samples: 512, p50: 2, p95: 2, p99: 2 })
    assert.strictEqual(recorded([...old, ...recent.slice(1)])?.p99, 2)
    assert.strictEqual(recorded([...old, ...recent.slice(100)])?.p99, 1000)
  })
})
