import * as SelfMetrics from "@opsbuddy/runtime/SelfMetrics"
import { Clock, Effect, Layer } from "effect"
import { type CpuTimes, SystemInformation, type Traffic } from "./SystemInformation.ts"

interface Sample {
  readonly at: bigint
  readonly cpu: CpuTimes
  readonly traffic: ReadonlyArray<Traffic>
}

/**
 * Writes the machine's figures to timeseries every 10 s from the start on, until the scope closes. All have the tag `host`.
 *
 * - `host_cpu`: `usage_<state>`, percent of all CPUs since the last sample; `load1`, `load5`, `load15`
 * - `host_memory`: `total`, `available`, `used` in bytes, `used_percent`
 * - `host_disk` by `mount`: the same
 * - `host_network` by `interface`: `received_bytes`, `sent_bytes`, `received_packets`, `sent_packets` since the interface was
 *   there, `received_bytes_per_second`, `sent_bytes_per_second`
 *
 * The first sample, which has nothing before it, is without `usage_<state>` and without rates. Samples that timeseries does
 * not take are lost.
 */
export const layer = (options: { readonly timeseriesUrl: string }) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const send = yield* SelfMetrics.makeSender(options.timeseriesUrl)
      const sample = yield* sampler
      yield* Effect.forkScoped(SelfMetrics.every(send, sample))
    })
  )

/** Shares and rates over less than this mean nothing; a CPU's time is counted in hundredths of a second. */
const shortestNanos = 1_000_000_000n

/**
 * Gives the lines of each sample. Shares and rates are since the sample before, at first since the sampler was made, and are
 * left out as long as that is less than a second ago.
 */
export const sampler = Effect.gen(function* () {
  const system = yield* SystemInformation
  const measure = Effect.gen(function* () {
    return { at: yield* Clock.monotonicTimeNanos, cpu: yield* system.cpuTimes, traffic: yield* system.traffic }
  })
  let last: Sample = yield* measure
  return Effect.gen(function* () {
    const now: Sample = yield* measure
    const before = now.at - last.at < shortestNanos ? undefined : last
    if (before !== undefined) last = now
    const { cpu, disks, hostname, memory } = yield* system.info
    const time = yield* Clock.currentTimeNanos
    const line = (measurement: string, tags: Readonly<Record<string, string>>, fields: Fields) =>
      `${key(measurement, { host: hostname, ...tags })} ${fieldSet(fields)} ${time}`
    const [load1 = 0, load5 = 0, load15 = 0] = cpu.load
    return [
      line("host_cpu", {}, { ...usage(before?.cpu, now.cpu), load1, load5, load15 }),
      line("host_memory", {}, space(memory)),
      ...disks.map((disk) => line("host_disk", { mount: disk.mount }, space(disk))),
      ...now.traffic.map((traffic) =>
        line("host_network", { interface: traffic.interface }, network(before, now, traffic))
      )
    ]
  })
})

/** A field's value: a number becomes a float, a big integer an integer. */
type Fields = Readonly<Record<string, bigint | number>>

/** Each state's share of the time between, in percent; nothing when no time has passed. */
const usage = (before: CpuTimes | undefined, now: CpuTimes): Fields => {
  if (before === undefined) return {}
  const spent = Object.entries(now).map(([state, time]) => [state, Math.max(0, time - (before[state] ?? 0))] as const)
  const all = spent.reduce((sum, [, time]) => sum + time, 0)
  return all === 0 ? {} : Object.fromEntries(spent.map(([state, time]) => [`usage_${state}`, (100 * time) / all]))
}

const space = (of: { readonly total: number; readonly available: number; readonly used: number }): Fields => ({
  total: BigInt(of.total),
  available: BigInt(of.available),
  used: BigInt(of.used),
  // As `df` does: of what is used and what can be, without what is kept for the system.
  used_percent: (100 * of.used) / Math.max(1, of.used + of.available)
})

const network = (before: Sample | undefined, now: Sample, traffic: Traffic): Fields => {
  const counters = {
    received_bytes: BigInt(traffic.receivedBytes),
    sent_bytes: BigInt(traffic.sentBytes),
    received_packets: BigInt(traffic.receivedPackets),
    sent_packets: BigInt(traffic.sentPackets)
  }
  const old = before?.traffic.find((old) => old.interface === traffic.interface)
  // Counters that went back belong to a new interface of the same name.
  if (
    before === undefined ||
    old === undefined ||
    traffic.receivedBytes < old.receivedBytes ||
    traffic.sentBytes < old.sentBytes
  ) {
    return counters
  }
  const seconds = Number(now.at - before.at) / 1e9
  return {
    ...counters,
    received_bytes_per_second: (traffic.receivedBytes - old.receivedBytes) / seconds,
    sent_bytes_per_second: (traffic.sentBytes - old.sentBytes) / seconds
  }
}

const key = (measurement: string, tags: Readonly<Record<string, string>>) =>
  [measurement, ...Object.entries(tags).map(([name, value]) => `${name}=${escape(value)}`)].join(",")

const fieldSet = (fields: Fields) =>
  Object.entries(fields)
    .map(([name, value]) => `${name}=${value}${typeof value === "bigint" ? "i" : ""}`)
    .join(",")

/** A tag's value may hold no line feed and may not end in a backslash; the other three are escaped. */
const escape = (value: string) =>
  value
    .replace(/[\r\n]/g, " ")
    .replace(/\\+$/, "")
    .replace(/[,= ]/g, "\\$&")
