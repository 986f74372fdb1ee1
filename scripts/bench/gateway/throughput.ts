import { alternate, type Load, load, type Options, ratios, type Started } from "./bench.ts"
import { difference, median, spread, table } from "./figures.ts"
import { served } from "./upstream.ts"

const sum = (values: ReadonlyArray<number>) => values.reduce((total, value) => total + value, 0)

const measured = async (started: ReadonlyArray<Started>, path: string, options: Options, baseline: string) => {
  const warm = await alternate(started, 1, (entry) => load(entry, path, 2))
  const results = await alternate([...warm.keys()], options.rounds, (entry) => load(entry, path, options.seconds))
  const base = [...results].find(([entry]) => entry.name === baseline)?.[1]
  return [...results].map(([entry, loads]) => {
    const of = (value: (load: Load) => number) => loads.map(value)
    return { entry, of, against: (value: (load: Load) => number) => ratios(of(value), base?.map(value)) }
  })
}

const perSecond = (load: Load) => load.requests / load.seconds
const cpuPerRequest = (load: Load) => load.proxyCpuMicros / load.requests

/**
 * How many records the gateway could not hand over, by its own count, of all that it made; empty for peers. Analytics
 * that does not keep up does not slow the gateway: the gateway drops records.
 */
const dropped = async ({ name, port, processes }: Started) => {
  if (!name.startsWith("opsbuddy")) return ""
  const status = await fetch(`http://127.0.0.1:${port}/status`)
  const { counters } = (await status.json()) as { counters?: Record<string, number> }
  const { recordsDropped = 0, recordsSent = 0 } = counters ?? {}
  const percent = (100 * recordsDropped) / Math.max(1, recordsDropped + recordsSent)
  return `${percent.toFixed(0)} %${processes.length > 1 ? "" : " (sink)"}`
}

/** Requests a second for one kilobyte. */
export const throughput = async (started: ReadonlyArray<Started>, options: Options, baseline: string) => {
  const rows = await measured(started, "/api/files/k", options, baseline)
  table(
    `1 KB, 64 connections, ${options.rounds} rounds of ${options.seconds} s: median (least..most)`,
    [
      "",
      "requests/s",
      `ratio to ${baseline}`,
      "difference",
      "failed",
      "CPU µs/request",
      "ratio",
      "with helper",
      "records dropped"
    ],
    await Promise.all(
      rows.map(async ({ against, entry, of }) => [
        entry.name,
        spread(of(perSecond), 0),
        spread(against(perSecond), 2),
        entry.name === baseline ? "" : difference(against(perSecond)),
        String(sum(of(({ broken, failed }) => failed + broken))),
        spread(of(cpuPerRequest), 1),
        spread(against(cpuPerRequest), 1),
        entry.processes.length === 1 ? "" : median(of((load) => load.allCpuMicros / load.requests)).toFixed(1),
        await dropped(entry)
      ])
    )
  )
}

const megabytes = (load: Load) => load.bytes / 1e6

/** Megabytes a second for larger bodies, and the memory that they take. */
export const bodies = async (started: ReadonlyArray<Started>, options: Options, baseline: string) => {
  for (const [path, size] of Object.entries(served).slice(1)) {
    const rows = await measured(started, path, options, baseline)
    const rate = (load: Load) => megabytes(load) / load.seconds
    table(
      `${size / 1024} KB bodies, 64 connections, ${options.rounds} rounds of ${options.seconds} s: median (least..most)`,
      ["", "MB/s", `ratio to ${baseline}`, "difference", "failed", "CPU µs/MB", "resident MB before", "most", "after"],
      rows.map(({ against, entry, of }) => [
        entry.name,
        spread(of(rate), 0),
        spread(against(rate), 2),
        entry.name === baseline ? "" : difference(against(rate)),
        String(sum(of(({ broken, failed }) => failed + broken))),
        spread(
          of((load) => load.proxyCpuMicros / megabytes(load)),
          0
        ),
        (of(({ memory }) => memory.before)[0] ?? 0).toFixed(0),
        Math.max(...of(({ memory }) => memory.peak)).toFixed(0),
        (of(({ memory }) => memory.after).at(-1) ?? 0).toFixed(0)
      ])
    )
  }
}
