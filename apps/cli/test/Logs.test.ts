import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { everyPid, isAlive, isReady, until, up } from "./Program.ts"

const residentMegabytes = (pid: number) =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

describe("the children's logs", () => {
  it.live("come through line by line, and standard error with the service's name", () =>
    Effect.gen(function* () {
      const program = yield* up([], { env: { FAKE_FILES: "exit=1" } })
      yield* until("a restart", () => program.stdout().includes(`"message":"restarting"`))
      const gateway = `{"service":"gateway","message":"listening"}`
      yield* until("the gateway", () => program.stdout().split("\n").includes(gateway))
      assert.include(program.stdout().split("\n"), `{"service":"files","message":"about to end"}`)
      assert.include(program.stdout().split("\n"), "files: the environment is not valid:")
    })
  )

  it.live.skipIf(!existsSync("/proc/self/status"))("are dropped, and nothing stops, while nobody reads ours", () =>
    Effect.gen(function* () {
      const program = yield* up([], { unread: true, env: { FAKE_FILES: "flood", FAKE_UTILITY: "flood" } })
      const file = join(program.directory, "gateway.env")
      yield* until("the gateway", () => existsSync(file))
      yield* until("all children", () => everyPid(program.directory).length === 5)
      // There is nothing to wait for: this is how long nothing must go wrong.
      yield* Effect.sleep("3 seconds")
      assert.isBelow(residentMegabytes(program.pid), 250)
      const { GATEWAY_PORT } = JSON.parse(readFileSync(file, "utf8"))
      const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${GATEWAY_PORT}/ready`))
      assert.strictEqual(answer.status, 200)
      program.child.kill("SIGTERM")
      assert.strictEqual(yield* program.exitCode, 0)
      assert.deepStrictEqual(everyPid(program.directory).filter(isAlive), [])
    })
  )

  it.live("have no effect on the services when the reader goes away", () =>
    Effect.gen(function* () {
      const program = yield* up()
      yield* isReady(program)
      program.child.stdout?.destroy()
      const [pid = 0] = everyPid(program.directory)
      process.kill(pid, "SIGKILL")
      yield* until("a restart", () => everyPid(program.directory).length === 6)
      assert.isTrue(isAlive(program.pid))
      program.child.kill("SIGTERM")
      assert.strictEqual(yield* program.exitCode, 0)
    })
  )
})
