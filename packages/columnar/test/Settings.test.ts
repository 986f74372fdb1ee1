import { totalmem } from "node:os"
import { assert, describe, it } from "@effect/vitest"
import { load } from "@opsbuddy/runtime/Variables"
import { ByteSize, ConfigProvider, Effect } from "effect"
import * as Settings from "../src/Settings.ts"

const GiB = 2 ** 30

/** A file system that has only these files. */
const files = (contents: Readonly<Record<string, string>>) => (path: string) => {
  const content = contents[path]
  if (content === undefined) throw new Error(`ENOENT: ${path}`)
  return content
}

const read = (environment: Readonly<Record<string, string>>) =>
  load({ memory: Settings.memory("timeseries") }).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
  )

describe("The memory of the database", () => {
  it("is an eighth of what there is, within limits", () => {
    assert.strictEqual(Number(Settings.defaultMemory(16 * GiB)), 2 * GiB)
    assert.strictEqual(Number(Settings.defaultMemory(512 * 2 ** 20)), 256 * 2 ** 20)
    assert.strictEqual(Number(Settings.defaultMemory(512 * GiB)), 4 * GiB)
  })

  it("counts what the control groups of the process allow, where they do", () => {
    assert.strictEqual(Settings.machineMemory(files({})), totalmem())
    const nested = files({
      "/proc/self/cgroup": "0::/system.slice/opsbuddy.service\n",
      "/sys/fs/cgroup/system.slice/opsbuddy.service/memory.max": "max\n",
      "/sys/fs/cgroup/system.slice/memory.max": "1048576\n"
    })
    assert.strictEqual(Settings.machineMemory(nested), 1048576)
    const container = files({ "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "2097152\n" })
    assert.strictEqual(Settings.machineMemory(container), 2097152)
    const first = files({ "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n" })
    assert.strictEqual(Settings.machineMemory(first), totalmem())
  })

  it.effect("is read from its variable, and refused where it is too small or no size", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* read({})).memory, Settings.defaultMemory())
      assert.strictEqual((yield* read({ OPSBUDDY_TIMESERIES_MEMORY: "1 GiB" })).memory, ByteSize.gibibytes(1))
      for (const size of ["63 MiB", "much", "-1 GiB"]) {
        const error = yield* Effect.flip(read({ OPSBUDDY_TIMESERIES_MEMORY: size }))
        assert.include(error.message, "OPSBUDDY_TIMESERIES_MEMORY")
      }
    })
  )
})
