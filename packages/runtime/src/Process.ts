import { Effect, Metric } from "effect"

/** Which JavaScript runtime runs this process. */
export const runtime = {
  name: process.versions.bun === undefined ? "node" : "bun",
  version: process.versions.bun ?? process.versions.node,
  pid: process.pid
} as const

/**
 * The program and first arguments that run a script on this same runtime. Bun is kept from reading `.env` by itself, which
 * it would do in the working directory and before an app's folder; `bunfig.toml` forbids it in the workspace's root alone.
 */
export const commandLine = (script: string): readonly [program: string, ...args: ReadonlyArray<string>] =>
  runtime.name === "bun" ? [process.execPath, "--no-env-file", script] : [process.execPath, script]

/** Resident and heap memory of this process, in bytes. */
export const memory = Effect.sync(() => {
  const { heapUsed, rss } = process.memoryUsage()
  return { rss, heapUsed }
})

/** CPU time that this process has used since its start, in seconds. */
export const cpuSeconds = Effect.sync(() => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1e6
})

const residentMemory = Metric.gauge("process_resident_memory_bytes", { description: "resident memory" })
const heapUsed = Metric.gauge("process_heap_used_bytes", { description: "heap in use" })
const cpu = Metric.gauge("process_cpu_seconds_total", { description: "CPU time, user and system" })

/** Brings the process metrics up to date, just before they are read. */
export const updateMetrics = Effect.gen(function* () {
  const used = yield* memory
  yield* Metric.update(residentMemory, used.rss)
  yield* Metric.update(heapUsed, used.heapUsed)
  yield* Metric.update(cpu, yield* cpuSeconds)
})
