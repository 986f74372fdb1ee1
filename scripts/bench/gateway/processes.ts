import { execFileSync, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Command {
  readonly program: string
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Written into the process's own folder, by name, before it starts. */
  readonly files?: Readonly<Record<string, string>>
}

export interface Running {
  readonly name: string
  readonly pid: number
  /** What it wrote to its output and error output, from the start on. */
  readonly log: () => string
  /** How it ended; `undefined` while it runs. */
  readonly ended: () => string | undefined
  readonly stop: () => Promise<void>
}

/** Holds all that a run writes, and is removed at its end; each process has a folder of its own in it. */
const folder = mkdtempSync(join(tmpdir(), "opsbuddy-bench-"))
process.once("exit", () => rmSync(folder, { recursive: true, force: true }))

/** The folder of a process by its name. */
export const folderOf = (name: string) => {
  const path = join(folder, name)
  mkdirSync(path, { recursive: true })
  return path
}

/** Of our own environment only what programs need to be found: nothing that would change how they run. */
const environment = (command: Command, home: string) => ({
  PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin`,
  HOME: home,
  NODE_ENV: "production",
  ...command.env
})

export const programIsMissing = (program: string) =>
  Bun.which(program, { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` }) === null

const running = new Set<Running>()
let stopping = false

/** Whether the run is over, so that what fails now fails because it was stopped. */
export const isStopping = () => stopping

/** Starts a process; it is stopped by `stopAll` at the latest. */
export const start = (name: string, command: Command): Running => {
  const home = folderOf(name)
  for (const [file, content] of Object.entries(command.files ?? {})) writeFileSync(join(home, file), content)
  const log = join(home, "output.log")
  const output = openSync(log, "w")
  const child = spawn(command.program, command.args, {
    cwd: command.cwd ?? home,
    env: environment(command, home),
    stdio: ["ignore", output, output]
  })
  let how: string | undefined
  const end = Promise.withResolvers<void>()
  const onEnd = (reason: string) => {
    how = reason
    running.delete(started)
    end.resolve()
  }
  child.once("exit", (code, signal) => onEnd(`ended with ${signal ?? code}`))
  child.once("error", ({ message }) => onEnd(message))
  const started: Running = {
    name,
    pid: child.pid ?? 0,
    log: () => readFileSync(log, "utf8"),
    ended: () => how,
    stop: async () => {
      if (how !== undefined) return
      child.kill("SIGTERM")
      const late = setTimeout(() => child.kill("SIGKILL"), 10_000)
      await end.promise
      clearTimeout(late)
    }
  }
  running.add(started)
  return started
}

/** Stops everything that still runs. */
export const stopAll = async () => {
  stopping = true
  await Promise.all([...running].map(({ stop }) => stop()))
}

/** A port that nothing listens on at the moment. */
export const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject()))
    })
  })

const lastWords = (of: Running) => of.log().trimEnd().split("\n").slice(-5).join("\n").slice(-2000)

/** Waits until `url` answers 200, for 20 s at most; fails with the end of the process's output. */
export const ready = async (of: Running, url: string) => {
  const deadline = performance.now() + 20_000
  let last = ""
  while (of.ended() === undefined && performance.now() < deadline) {
    try {
      const { status } = await fetch(url, { signal: AbortSignal.timeout(2000) })
      if (status === 200) return
      last = `status ${status}`
    } catch (error) {
      last = error instanceof Error ? error.message : String(error)
    }
    await Bun.sleep(50)
  }
  const why = of.ended() ?? `no answer of 200 from ${url} (${last})`
  throw new Error(`did not start: ${why}\n${lastWords(of)}`)
}

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }))

/** A file that proc(5) has about a process. */
const about = (of: Running, file: string) => {
  if (of.ended() !== undefined) throw new Error(`${of.name} ${of.ended()}\n${lastWords(of)}`)
  return readFileSync(`/proc/${of.pid}/${file}`, "utf8")
}

/** Microseconds of CPU, user and system, that a process has used: fields 14 and 15 of `stat`. */
export const cpuMicros = (of: Running) => {
  const stat = about(of, "stat")
  // The name of the program, in parentheses, may have spaces in it; it is field 2.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6
}

/** Megabytes of a process: resident now, or the most that was since `resetPeak`. */
export const residentMB = (of: Running, figure: "VmRSS" | "VmHWM" = "VmRSS") => {
  const line = about(of, "status").match(new RegExp(`^${figure}:\\s+(\\d+)`, "m"))
  return Number(line?.[1] ?? 0) / 1024
}

export const resetPeak = ({ pid }: Running) => writeFileSync(`/proc/${pid}/clear_refs`, "5")

/** Waits until processes have finished what they still had to do, as analytics has records to store; 10 s at most. */
export const quiet = async (processes: ReadonlyArray<Running>) => {
  const used = () => processes.reduce((sum, of) => sum + cpuMicros(of), 0)
  for (let wait = 0; wait < 40; wait++) {
    const before = used()
    await Bun.sleep(250)
    if (used() - before <= 20_000) return
  }
}
