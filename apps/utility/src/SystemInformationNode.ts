import { statfs } from "node:fs/promises"
import * as os from "node:os"
import { DateTime, Effect, FileSystem, Layer } from "effect"
import * as ProcFiles from "./ProcFiles.ts"
import { type CpuTimes, SystemInformation } from "./SystemInformation.ts"

/** Asks the system through `node:os`, and through `/proc` where it is there, which tells more. */
export const layer = Layer.effect(
  SystemInformation,
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    /** The file's text, empty where there is no such file. */
    const proc = (path: string) => Effect.orElseSucceed(fs.readFileString(path), () => "")

    const memory = Effect.map(proc("/proc/meminfo"), (meminfo) => {
      const total = os.totalmem()
      const available = ProcFiles.availableMemory(meminfo) ?? os.freemem()
      return { total, available, used: total - available }
    })
    const disks = proc("/proc/self/mounts").pipe(
      Effect.map((mounts) => (mounts === "" ? [rootOnly] : ProcFiles.parseMounts(mounts))),
      Effect.flatMap(Effect.forEach(sizes)),
      Effect.map((found) => found.flat())
    )
    return SystemInformation.of({
      info: Effect.gen(function* () {
        const cpus = os.cpus()
        return {
          hostname: os.hostname(),
          platform: os.platform(),
          release: os.release(),
          architecture: os.machine(),
          uptime: os.uptime(),
          timestamp: yield* DateTime.now,
          cpu: { model: cpus[0]?.model.trim() ?? "unknown", count: cpus.length, load: os.loadavg() },
          memory: yield* memory,
          disks: yield* disks,
          network: Object.entries(os.networkInterfaces()).map(([name, addresses = []]) => ({
            interface: name,
            addresses: addresses.map(({ address }) => address)
          }))
        }
      }).pipe(Effect.withSpan("SystemInformationNode.info")),
      cpuTimes: Effect.map(proc("/proc/stat"), (stat) =>
        stat === "" ? cpuTimesOfSystem() : ProcFiles.parseCpuTimes(stat)
      ),
      traffic: Effect.map(proc("/proc/net/dev"), ProcFiles.parseTraffic)
    })
  })
)

/** Without `/proc` the mounts are not known; there the root is the disk. */
const rootOnly: ProcFiles.Mount = { device: "root", mount: "/", type: os.platform() }

/** The file system with its sizes as `df` counts them; nothing for one that is empty or may not be asked. */
const sizes = (mount: ProcFiles.Mount) =>
  Effect.tryPromise(() => statfs(mount.mount)).pipe(
    Effect.map(({ bavail, bfree, blocks, bsize }) => {
      if (blocks === 0) return []
      return [{ ...mount, total: blocks * bsize, available: bavail * bsize, used: (blocks - bfree) * bsize }]
    }),
    Effect.orElseSucceed(() => [])
  )

const cpuTimesOfSystem = (): CpuTimes => {
  const sum = { user: 0, nice: 0, system: 0, idle: 0, irq: 0 }
  for (const { times } of os.cpus()) {
    sum.user += times.user
    sum.nice += times.nice
    sum.system += times.sys
    sum.idle += times.idle
    sum.irq += times.irq
  }
  return sum
}
