import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schedule } from "effect"
import * as Restart from "../src/Restart.ts"
import { isAlive, isReady, notes, temporaryDirectory, until, up } from "./Program.ts"

const delays = Effect.gen(function* () {
  const step = yield* Schedule.toStep(Restart.backoff)
  return yield* Effect.forEach(Array.from({ length: 12 }), () =>
    Effect.map(step(0, undefined), ([, delay]) => Duration.toMillis(delay))
  )
})

describe("a service that ends", () => {
  it.live("is started again, and the others are left alone", () =>
    Effect.gen(function* () {
      const program = yield* up()
      yield* isReady(program)
      const before = notes(program.directory)
      const pid = before.find(({ service }) => service === "files")?.pid ?? 0
      process.kill(pid, "SIGKILL")
      yield* until("its return", () => program.stdout().includes(`"message":"ready again"`))
      assert.include(program.stdout(), `"service":"files","reason":"signal SIGKILL"`)
      const starts = notes(program.directory).filter(({ what }) => what === "started")
      assert.lengthOf(starts, 6)
      assert.lengthOf(
        starts.filter(({ service }) => service === "files"),
        2
      )
      assert.isFalse(isAlive(pid))
    })
  )

  it.live(
    "is reported as a crash loop with its last lines, whatever the log level, and still started again",
    () =>
      Effect.gen(function* () {
        const program = yield* up([], { env: { FAKE_ANALYTICS: "exit=3", LOG_LEVEL: "none" } })
        const report = yield* until("the report", () =>
          program
            .stdout()
            .split("\n")
            .find((line) => line.includes(`"message":"crash loop"`))
        )
        const { data, level } = JSON.parse(report)
        assert.strictEqual(level, "error")
        assert.containSubset(data, { service: "analytics", reason: "exit code 3", ends: 5, withinSeconds: 60 })
        assert.include(data.cause, "FAKE_ANALYTICS: ends with 3")
        assert.include(data.cause, "about to end")
        const starts = () =>
          notes(program.directory).filter((note) => note.service === "analytics" && note.what === "started").length
        yield* until("a sixth start", () => starts() >= 6)
        assert.notInclude(program.stdout(), "OpsBuddy is ready")
      }),
    20_000
  )

  it.live("is announced with the others once it comes up after all", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const program = yield* up([], { env: { FAKE_FILES: `exit=1,once=${join(directory, "flag")}` } })
      yield* isReady(program)
      assert.include(program.stdout(), `"service":"files","reason":"exit code 1"`)
    })
  )
})

describe("Restart", () => {
  it.effect("doubles the wait up to a cap, each give or take a fifth", () =>
    Effect.gen(function* () {
      const waits = yield* delays
      const nominal = [200, 400, 800, 1600, 3200, 6400, 8000, 8000, 8000, 8000, 8000, 8000]
      for (const [index, wait] of waits.entries()) {
        assert.isAtLeast(wait, (nominal[index] ?? 0) * 0.8)
        assert.isAtMost(wait, (nominal[index] ?? 0) * 1.2)
      }
      assert.isAbove(new Set(waits.slice(6)).size, 1)
    })
  )

  it("forgets ends that are older than a minute", () => {
    assert.deepStrictEqual(Restart.recentEnds([0, 1000, 59_999], 60_500), [1000, 59_999, 60_500])
  })
})
