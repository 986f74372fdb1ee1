/**
 * The gateway beside other proxies, all in front of the same upstream: `bun scripts/bench/gateway.ts [options]`.
 *
 *   --throughput --bodies --websockets --idle --latency    run these sections; without any, all
 *   --rounds N     how often each contestant is measured (5)
 *   --seconds S    how long each time (4)
 *   --only a,b     these contestants, and the baseline
 *   --baseline a   what ratios are to (nginx)
 *   --root DIR     the working copy whose OpsBuddy is measured; several, to compare revisions
 *
 * `docs/benchmarks.md` says what is measured and how to read it.
 */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { availableParallelism, loadavg } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { type Started, startAll, stopAllOf } from "./gateway/bench.ts"
import { type Contestant, contestants } from "./gateway/contestants.ts"
import { idle } from "./gateway/idle.ts"
import { latency } from "./gateway/latency.ts"
import { programIsMissing, stopAll } from "./gateway/processes.ts"
import { bodies, throughput } from "./gateway/throughput.ts"
import { startEcho, startUpstream } from "./gateway/upstream.ts"
import { webSockets } from "./gateway/webSockets.ts"

const flag = { type: "boolean", default: false } as const
const { values } = parseArgs({
  options: {
    throughput: flag,
    bodies: flag,
    websockets: flag,
    idle: flag,
    latency: flag,
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "4" },
    only: { type: "string" },
    baseline: { type: "string", default: "nginx" },
    root: { type: "string", multiple: true, default: [join(import.meta.dirname, "../..")] }
  }
})

const options = { rounds: Number(values.rounds), seconds: Number(values.seconds) }
const roots = values.root.map((root) => resolve(root))
const all = contestants(roots)
const only = values.only?.split(",")
const chosen = only === undefined ? all : all.filter(({ name }) => only.includes(name) || name === values.baseline)

const fail = (reason: string): never => {
  console.error(reason)
  process.exit(2)
}
for (const name of [...(only ?? []), values.baseline]) {
  if (!all.some((contestant) => contestant.name === name)) {
    fail(`no contestant ${name}; there are ${all.map((contestant) => contestant.name).join(", ")}`)
  }
}
for (const program of ["wrk", "nginx"]) if (programIsMissing(program)) fail(`${program} is needed and not there`)
if (!(options.rounds >= 1 && options.seconds >= 1)) fail("--rounds and --seconds are numbers from 1 on")

for (const root of roots) execFileSync("node", ["scripts/bootstrap.mjs", "programs"], { cwd: root, stdio: "inherit" })

/** As many open files as the system lets us have, for this process and all that it starts. */
const raiseOpenFiles = () => {
  const hard = /^Max open files +\d+ +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? "0"
  if (Number(hard) < 12_000) console.log(`only ${hard} files may be open: sections with many connections will fail`)
  execFileSync("prlimit", ["--pid", String(process.pid), `--nofile=${hard}:${hard}`])
}

let interrupted = false
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, async () => {
    if (interrupted) return
    interrupted = true
    await stopAll()
    process.exit(130)
  })
}

/** Runs `measure` over started contestants, and stops them. */
const over = async (
  them: ReadonlyArray<Contestant>,
  ports: { readonly upstream: number; readonly sink: number },
  measure: (started: ReadonlyArray<Started>) => Promise<void>
) => {
  const started = await startAll(them, ports)
  await measure(started)
  await stopAllOf(started)
}

const runs = (section: "throughput" | "bodies" | "websockets" | "idle" | "latency") =>
  values[section] || !(values.throughput || values.bodies || values.websockets || values.idle || values.latency)

try {
  // What else runs takes part in every figure.
  console.log(`${availableParallelism()} cores, load average before the start ${loadavg()[0]?.toFixed(2)}`)
  raiseOpenFiles()
  const { port: upstream, sink } = await startUpstream()
  const ports = { upstream, sink }
  if (runs("throughput")) await over(chosen, ports, (started) => throughput(started, options, values.baseline))
  if (runs("bodies")) await over(chosen, ports, (started) => bodies(started, options, values.baseline))
  if (runs("websockets")) {
    const echo = await startEcho()
    await over(chosen, { upstream: echo.port, sink }, (started) => webSockets(started, echo))
    await echo.process.stop()
  }
  if (runs("idle")) await over(chosen, ports, idle)
  if (runs("latency")) await over(chosen, ports, (started) => latency(started, options, upstream))
} catch (error) {
  // What was stopped by an interrupt fails what measured it.
  if (!interrupted) throw error
} finally {
  await stopAll()
}
