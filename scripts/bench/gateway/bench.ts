import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import type { Contestant } from "./contestants.ts"
import {
  cpuMicros,
  folderOf,
  freePort,
  isStopping,
  programIsMissing,
  quiet,
  type Running,
  ready,
  resetPeak,
  residentMB,
  start
} from "./processes.ts"

export interface Options {
  readonly rounds: number
  readonly seconds: number
}

/** A contestant that runs. */
export interface Started {
  readonly name: string
  readonly port: number
  readonly proxy: Running
  /** The proxy and what it needs beside it. */
  readonly processes: ReadonlyArray<Running>
}

const packageIsMissing = (name: string) => {
  try {
    import.meta.resolve(name)
    return false
  } catch {
    return true
  }
}

const missing = ({ packages = [], programs = [] }: Contestant) => [
  ...programs.filter(programIsMissing).map((name) => `no program ${name}`),
  ...packages.filter(packageIsMissing).map((name) => `no package ${name}`)
]

/** Starts one contestant in front of `upstream`, and ends when a request has gone through it. */
const startOne = async (contestant: Contestant, ports: { readonly upstream: number; readonly sink: number }) => {
  const { name } = contestant
  const place = { ...ports, port: await freePort(), helper: await freePort(), folder: folderOf(name) }
  const helpers: Array<Running> = []
  if (contestant.helper !== undefined) {
    const helper = start(`${name}-helper`, contestant.helper(place))
    helpers.push(helper)
    await ready(helper, `http://127.0.0.1:${place.helper}/health`)
  }
  const proxy = start(name, contestant.command(place))
  const started: Started = { name, port: place.port, proxy, processes: [proxy, ...helpers] }
  await ready(proxy, `http://127.0.0.1:${place.port}/api/files/k`)
  return started
}

/** Starts those that can be, and says why the others cannot; one that is there and does not start fails the run. */
export const startAll = async (
  contestants: ReadonlyArray<Contestant>,
  ports: { readonly upstream: number; readonly sink: number }
) => {
  const started: Array<Started> = []
  for (const contestant of contestants) {
    const reasons = missing(contestant)
    if (reasons.length > 0) {
      console.log(`skipped ${contestant.name}: ${reasons.join(", ")}`)
      continue
    }
    try {
      started.push(await startOne(contestant, ports))
    } catch (error) {
      if (isStopping()) throw error
      leftOut(contestant.name, error)
    }
  }
  return started
}

/** Says that a contestant is not measured although it is there. */
const leftOut = (name: string, error: unknown) => {
  process.exitCode = 1
  console.log(`left out ${name}: ${error instanceof Error ? error.message : error}`)
}

export const stopAllOf = (started: ReadonlyArray<Started>) =>
  Promise.all(started.flatMap(({ processes }) => processes.map(({ stop }) => stop())))

const shuffled = <A>(items: ReadonlyArray<A>) =>
  items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)

/**
 * Measures each once a round, in a new order each time, so that what the machine does besides meets all alike. One that
 * cannot be measured is left out from then on, and fails the run.
 */
export const alternate = async <A extends { readonly name: string }, M>(
  entries: ReadonlyArray<A>,
  rounds: number,
  measure: (entry: A) => Promise<M>
): Promise<Map<A, Array<M>>> => {
  const results = new Map(entries.map((entry): [A, Array<M>] => [entry, []]))
  for (let round = 1; round <= rounds; round++) {
    if (rounds > 1) process.stderr.write(`round ${round} of ${rounds}\n`)
    for (const entry of shuffled([...results.keys()])) {
      try {
        results.get(entry)?.push(await measure(entry))
      } catch (error) {
        if (isStopping()) throw error
        results.delete(entry)
        leftOut(entry.name, error)
      }
    }
  }
  return results
}

/** Of each round of one contestant its value over that of the baseline in the same round. */
export const ratios = (values: ReadonlyArray<number>, baseline: ReadonlyArray<number> | undefined) =>
  baseline === undefined ? [] : values.map((value, round) => value / (baseline[round] ?? Number.NaN))

/** One run of wrk, as `report.lua` tells it. */
interface Report {
  readonly seconds: number
  readonly requests: number
  readonly bytes: number
  /** Answers with a status of 400 or more. */
  readonly failed: number
  /** Connections that could not be made or broke, and answers that did not come. */
  readonly broken: number
}

export interface Load extends Report {
  /** What the proxy used while the load ran. */
  readonly proxyCpuMicros: number
  /** What all its processes used, until they had finished what the load gave them to do. */
  readonly allCpuMicros: number
  /** Resident megabytes of the proxy: before the load, the most during it, and when it was quiet again. */
  readonly memory: { readonly before: number; readonly peak: number; readonly after: number }
}

const wrk = async (url: string, seconds: number): Promise<Report> => {
  const script = join(import.meta.dirname, "report.lua")
  const args = ["-t1", "-c64", `-d${seconds}s`, "--timeout", "30s", "-s", script, url]
  const { stdout } = await promisify(execFile)("wrk", args)
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")
}

/** Puts 64 connections' load on a contestant, and waits until it is quiet again. */
export const load = async ({ port, processes, proxy }: Started, path: string, seconds: number): Promise<Load> => {
  const used = () => processes.map(cpuMicros).reduce((sum, micros) => sum + micros, 0)
  const before = residentMB(proxy)
  resetPeak(proxy)
  const [proxyBefore, allBefore] = [cpuMicros(proxy), used()]
  const report = await wrk(`http://127.0.0.1:${port}${path}`, seconds)
  const proxyCpuMicros = cpuMicros(proxy) - proxyBefore
  const peak = residentMB(proxy, "VmHWM")
  await quiet(processes)
  if (report.bytes === 0) throw new Error("answered nothing under load")
  const after = residentMB(proxy)
  return { ...report, proxyCpuMicros, allCpuMicros: used() - allBefore, memory: { before, peak, after } }
}
