import { execFileSync } from "node:child_process"
import { assert, layer } from "@effect/vitest"
import { SystemInfo } from "@opsbuddy/contract/Utility"
import { layerPlatform } from "@opsbuddy/runtime/App"
import { Effect, Layer, Schema } from "effect"
import { SystemInformation } from "../src/SystemInformation.ts"
import * as SystemInformationNode from "../src/SystemInformationNode.ts"

const ask = (program: string, ...rest: ReadonlyArray<string>) =>
  execFileSync(program, rest, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } }).trim()

const onLinux = process.platform === "linux"

/** Both look at a machine that goes on working meanwhile. */
const near = (actual: number, expected: number, tolerance: number) =>
  assert.isAtMost(Math.abs(actual - expected), tolerance, `${actual} is not near ${expected}`)

layer(SystemInformationNode.layer.pipe(Layer.provide(layerPlatform)))("SystemInformationNode", (it) => {
  it.effect("tells what uname tells", () =>
    Effect.gen(function* () {
      const info = yield* SystemInformation.use((system) => system.info)
      assert.strictEqual(info.hostname, ask("uname", "-n"))
      assert.strictEqual(info.release, ask("uname", "-r"))
      assert.strictEqual(info.architecture, ask("uname", "-m"))
      assert.strictEqual(info.platform, ask("uname", "-s").toLowerCase())
      assert.isAbove(info.cpu.count, 0)
      assert.lengthOf(info.cpu.load, 3)
      yield* Schema.encodeEffect(SystemInfo)(info)
    })
  )

  it.effect.skipIf(!onLinux)("agrees with free about memory", () =>
    Effect.gen(function* () {
      const { memory } = yield* SystemInformation.use((system) => system.info)
      const [total = 0, , , , , available = 0] = (/^Mem:\s+(.*)$/m.exec(ask("free", "-b"))?.[1] ?? "")
        .split(/\s+/)
        .map(Number)
      assert.strictEqual(memory.total, total)
      near(memory.available, available, total / 20)
      assert.strictEqual(memory.used, memory.total - memory.available)
    })
  )

  it.effect.skipIf(!onLinux)("agrees with df about each disk", () =>
    Effect.gen(function* () {
      const { disks } = yield* SystemInformation.use((system) => system.info)
      assert.include(
        disks.map((disk) => disk.mount),
        "/"
      )
      for (const disk of disks) {
        const told = ask("df", "-B1", "--output=size,used,avail", disk.mount).split("\n").at(-1) ?? ""
        const [total = 0, used = 0, available = 0] = told.trim().split(/\s+/).map(Number)
        assert.strictEqual(disk.total, total)
        near(disk.used, used, 2 ** 30)
        near(disk.available, available, 2 ** 30)
      }
    })
  )

  it.effect("counts CPU time that grows, in states that add up to the machine's uptime", () =>
    Effect.gen(function* () {
      const system = yield* SystemInformation
      const sum = (times: Readonly<Record<string, number>>) => Object.values(times).reduce((all, time) => all + time, 0)
      const first = yield* system.cpuTimes
      let later = yield* system.cpuTimes
      while (sum(later) <= sum(first)) later = yield* system.cpuTimes
      for (const [state, time] of Object.entries(later)) {
        // The kernel may correct these two backwards (proc_stat(5)).
        if (state !== "iowait" && state !== "idle") assert.isAtLeast(time, first[state] ?? 0)
      }
    })
  )
})
