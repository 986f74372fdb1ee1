/**
 * How long the whole system takes to start, and how much memory it has then: `bun scripts/bench/start.ts [runs]`.
 * `npm start` is timed from its spawn to the line that says that all services are ready, over an empty data folder (cold:
 * databases are made) and again over the same one (warm). Resident memory is the sum of `Rss` of all processes, and of
 * `Pss`, which counts pages that they share once, ten seconds after the start.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")
const runs = Number(process.argv[2] ?? 5)

const processesOf = (data: string) =>
  readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/environ`, "utf8").includes(data) ||
          readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(data)
        )
      } catch {
        return false
      }
    })

/** Megabytes of one figure of `smaps_rollup`, summed over processes. */
const memory = (pids: ReadonlyArray<string>, figure: "Rss" | "Pss") =>
  pids.reduce((sum, pid) => {
    const line = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8").match(new RegExp(`^${figure}:\\s+(\\d+)`, "m"))
    return sum + Number(line?.[1] ?? 0) / 1024
  }, 0)

const startOnce = async (data: string) => {
  const started = performance.now()
  const child = spawn("npm", ["start", "--silent", "--", "--data", data, "--port-base", "0", "--json"], {
    cwd: root,
    stdio: ["ignore", "pipe", "ignore"]
  })
  await new Promise((resolve) => child.stdout.once("data", resolve))
  const millis = performance.now() - started
  return { millis, child }
}

const stop = (child: ReturnType<typeof spawn>) =>
  new Promise((resolve) => {
    child.once("exit", resolve)
    child.kill("SIGTERM")
  })

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
const show = (title: string, values: ReadonlyArray<number>, unit: string) =>
  console.log(
    `${title.padEnd(28)} median ${median(values).toFixed(0)} ${unit} (${Math.min(...values).toFixed(0)} to ${Math.max(
      ...values
    ).toFixed(0)})`
  )

const cold: Array<number> = []
const warm: Array<number> = []
const rss: Array<number> = []
const pss: Array<number> = []
for (let run = 0; run < runs; run++) {
  const data = mkdtempSync(join(tmpdir(), "opsbuddy-bench-"))
  const first = await startOnce(data)
  cold.push(first.millis)
  await stop(first.child)
  const second = await startOnce(data)
  warm.push(second.millis)
  await Bun.sleep(10_000)
  const pids = processesOf(data)
  rss.push(memory(pids, "Rss"))
  pss.push(memory(pids, "Pss"))
  if (run === 0) {
    for (const pid of pids) {
      const name = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").slice(0, 70)
      console.log(`  ${memory([pid], "Rss").toFixed(0).padStart(4)} MB  ${name}`)
    }
  }
  await stop(second.child)
  rmSync(data, { recursive: true, force: true })
}
show("cold start", cold, "ms")
show("warm start", warm, "ms")
show("resident, all processes", rss, "MB")
show("proportional, all processes", pss, "MB")
