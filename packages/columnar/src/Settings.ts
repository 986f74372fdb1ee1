import { readFileSync } from "node:fs"
import { totalmem } from "node:os"
import { variable } from "@opsbuddy/runtime/Variables"
import { ByteSize, Config, Schema } from "effect"

/**
 * The blocks of new files. Each column of a table takes two of them in memory from the first append after a checkpoint on: with the
 * engine's default of 256 KiB 472 MB for 300 tables of 3 columns. With blocks of 16 KiB a store of many small series took 45 MB on disk,
 * with these 32, and points of ten fields were written a third more slowly.
 */
export const blockBytes = 64 * 2 ** 10

const least = 256 * 2 ** 20
const most = 4 * 2 ** 30

/**
 * The memory that this process may use, in bytes: the machine's, or less where its control group is limited. Files that are
 * missing or say `max` set no limit: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
 */
export const machineMemory = (read: (path: string) => string = (path) => readFileSync(path, "utf8")): number => {
  const limits = cgroupFiles(read).map((path) => {
    const bytes = Number(attempt(() => read(path)))
    return Number.isFinite(bytes) && bytes > 0 ? bytes : Number.POSITIVE_INFINITY
  })
  return Math.min(totalmem(), ...limits)
}

/** The group of this process and those around it, of version 2, and the one file of version 1. */
const cgroupFiles = (read: (path: string) => string) => {
  const group = /^0::(\/.*)$/m.exec(attempt(() => read("/proc/self/cgroup")) ?? "")?.[1] ?? "/"
  const names = group.split("/").filter((name) => name !== "" && name !== "..")
  const groups = Array.from({ length: names.length + 1 }, (_, count) => ["", ...names.slice(0, count)].join("/"))
  return [...groups.map((path) => `/sys/fs/cgroup${path}/memory.max`), "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
}

const attempt = (read: () => string) => {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** An eighth of the memory, but 256 MiB at the least and 4 GiB at the most. */
export const defaultMemory = (machine: number = machineMemory()): ByteSize.ByteSize =>
  ByteSize.bytes(BigInt(Math.max(least, Math.min(most, Math.floor(machine / 8 / 2 ** 20) * 2 ** 20))))

/** The variable that sets what the engine of a service may hold in memory; to be given to `Columnar.layer`. */
export const memory = (service: "timeseries" | "analytics") =>
  variable(memoryName(service), memorySize, {
    description:
      "memory that the database may take before it writes to its temporary folder or refuses, at least 64 MiB; by default an eighth of what the machine or the control group has, from 256 MiB to 4 GiB",
    // A rounded number of GiB would be no whole number of bytes.
    fallback: `${defaultMemory() / ByteSize.mebibytes(1)} MiB`
  })

export const memoryName = (service: "timeseries" | "analytics") => `OPSBUDDY_${service.toUpperCase()}_MEMORY`

const memorySize = (name: string) =>
  Config.schema(
    Schema.ByteSize.check(
      Schema.makeFilter((size) => size >= ByteSize.mebibytes(64), {
        expected: "a size of at least 64 MiB, such as 512 MiB"
      })
    ),
    name
  )
