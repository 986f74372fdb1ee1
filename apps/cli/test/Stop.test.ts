import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { everyPid, isAlive, isReady, notes, type Program, until, up } from "./Program.ts"

const nothingLeft = (directory: string) => {
  const pids = everyPid(directory)
  assert.isNotEmpty(pids)
  assert.deepStrictEqual(pids.filter(isAlive), [])
}

/** Waits for the end, and gives how long that took, in milliseconds. */
const timed = (program: Program) =>
  Effect.gen(function* () {
    const began = performance.now()
    const code = yield* program.exitCode
    return { code, millis: performance.now() - began }
  })

describe("a stop of opsbuddy up", () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    it.live(`by ${signal} ends everything and exits 0`, () =>
      Effect.gen(function* () {
        const program = yield* up()
        yield* isReady(program)
        program.child.kill(signal)
        assert.strictEqual(yield* program.exitCode, 0)
        nothingLeft(program.directory)
        assert.include(program.stdout(), `"message":"stopped"`)
      })
    )
  }

  it.live("by Ctrl-C, which the whole process group gets, several times through npm, still drains", () =>
    Effect.gen(function* () {
      const program = yield* up([], { env: { FAKE_FILES: "drain=800" } })
      yield* isReady(program)
      process.kill(-program.pid, "SIGINT")
      process.kill(-program.pid, "SIGINT")
      assert.strictEqual(yield* program.exitCode, 0)
      nothingLeft(program.directory)
      assert.isDefined(notes(program.directory).find(({ service, what }) => service === "files" && what === "ended"))
    })
  )

  it.live("while children still start ends them too", () =>
    Effect.gen(function* () {
      const program = yield* up([], { env: { FAKE_FILES: "slow=60000", FAKE_UTILITY: "exit=1" } })
      yield* until("five starts", () => new Set(notes(program.directory).map(({ service }) => service)).size === 5)
      program.child.kill("SIGINT")
      assert.strictEqual(yield* program.exitCode, 0)
      nothingLeft(program.directory)
    })
  )

  it.live("asks the gateway first, and those that take records and metrics last", () =>
    Effect.gen(function* () {
      const program = yield* up([], { env: { FAKE_GATEWAY: "drain=300", FAKE_FILES: "drain=300" } })
      yield* isReady(program)
      program.child.kill("SIGINT")
      assert.strictEqual(yield* program.exitCode, 0)
      const at = (service: string, what: string) =>
        notes(program.directory).find((note) => note.service === service && note.what === what)?.at ?? Number.NaN
      assert.isAtMost(at("gateway", "ended"), at("files", "SIGTERM"))
      assert.isAtMost(at("gateway", "ended"), at("utility", "SIGTERM"))
      assert.isAtMost(at("files", "ended"), at("timeseries", "SIGTERM"))
      assert.isAtMost(at("files", "ended"), at("analytics", "SIGTERM"))
    })
  )

  it.live(
    "does not keep the services waiting for a gateway that drains long",
    () =>
      Effect.gen(function* () {
        const program = yield* up([], { env: { FAKE_GATEWAY: "drain=7000", FAKE_FILES: "drain=7000" } })
        yield* isReady(program)
        program.child.kill("SIGTERM")
        const { code, millis } = yield* timed(program)
        assert.strictEqual(code, 0)
        assert.isBelow(millis, 10_000)
        nothingLeft(program.directory)
        const ended = notes(program.directory)
          .filter(({ what }) => what === "ended")
          .map(({ service }) => service)
        assert.sameMembers(ended, ["gateway", "files", "utility", "analytics", "timeseries"])
      }),
    20_000
  )

  it.live(
    "kills within 10 s what does not end, with all that it has started",
    () =>
      Effect.gen(function* () {
        const program = yield* up([], {
          env: { FAKE_GATEWAY: "deaf", FAKE_FILES: "deaf,heir", FAKE_TIMESERIES: "heir" }
        })
        yield* isReady(program)
        program.child.kill("SIGTERM")
        const { code, millis } = yield* timed(program)
        assert.strictEqual(code, 0)
        assert.isBelow(millis, 10_000)
        assert.lengthOf(everyPid(program.directory), 7)
        nothingLeft(program.directory)
      }),
    20_000
  )

  it.live("kills at once on a second Ctrl-C, and exits 130", () =>
    Effect.gen(function* () {
      const program = yield* up([], {
        env: { FAKE_GATEWAY: "deaf", FAKE_FILES: "deaf,heir", FAKE_UTILITY: "drain=6000" }
      })
      yield* isReady(program)
      program.child.kill("SIGINT")
      yield* until("the stop", () => program.stdout().includes(`"message":"stopping"`))
      yield* Effect.sleep("700 millis")
      program.child.kill("SIGINT")
      const { code, millis } = yield* timed(program)
      assert.strictEqual(code, 130)
      assert.isBelow(millis, 2000)
      nothingLeft(program.directory)
    })
  )

  it.live("by kill -9 leaves nothing running", () =>
    Effect.gen(function* () {
      const program = yield* up()
      yield* isReady(program)
      program.child.kill("SIGKILL")
      yield* program.exitCode
      yield* until("the end of all children", () => !everyPid(program.directory).some(isAlive))
      const whys = notes(program.directory).filter(({ what }) => what === "orphaned")
      assert.lengthOf(whys, 5)
    })
  )
})
