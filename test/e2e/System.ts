import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")

/** A service as the supervisor announces it. */
export interface Service {
  readonly name: string
  readonly url: string
  readonly pid: number
}

export interface System {
  readonly process: ChildProcess
  readonly data: string
  readonly services: ReadonlyArray<Service>
  readonly url: (name: string) => string
  /** All that the system has logged so far. */
  readonly log: () => string
  /** Sends the signal that Ctrl-C sends, and gives the exit code and how long the end took, in milliseconds. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<{ readonly code: number | null; readonly tookMillis: number }>
}

/** What starts the system: on Bun the command of the README, on Node the program behind it. */
export const command = (): readonly [string, ...Array<string>] =>
  process.env.OPSBUDDY_TEST_RUNTIME === "node"
    ? [join(root, "node_modules/.bin/node"), join(root, "apps/cli/src/main.ts"), "up"]
    : ["npm", "start", "--silent", "--"]

/** Runs the program to its end, for calls that are refused. */
export const attempt = (options: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly output: string }>((resolve) => {
    const [program, ...first] = command()
    const child = spawn(program, [...first, ...options], { cwd: root })
    let output = ""
    child.stdout.on("data", (chunk) => (output += chunk))
    child.stderr.on("data", (chunk) => (output += chunk))
    child.on("close", (code) => resolve({ code, output }))
  })

/** Starts everything on free ports over a new data folder, and waits until it is announced as ready. */
export const start = async (): Promise<System> => {
  const data = mkdtempSync(join(tmpdir(), "opsbuddy-e2e-"))
  const [program, ...first] = command()
  const child = spawn(program, [...first, "--data", data, "--port-base", "0", "--json"], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"]
  })
  let log = ""
  child.stderr.on("data", (chunk) => (log += chunk))
  const services = await new Promise<ReadonlyArray<Service>>((resolve, reject) => {
    let output = ""
    child.stdout.on("data", (chunk) => {
      output += chunk
      const line = output.split("\n").find((line) => line.startsWith("{"))
      if (line !== undefined && output.includes("\n")) resolve(JSON.parse(line).services)
    })
    child.on("exit", (code) => reject(new Error(`ended with ${code} before it was ready:\n${log}`)))
  })
  return {
    process: child,
    data,
    services,
    url: (name) => services.find((service) => service.name === name)?.url ?? "",
    log: () => log,
    stop: async (signal = "SIGINT") => {
      const started = performance.now()
      const code = await new Promise<number | null>((resolve) => {
        if (child.exitCode !== null) return resolve(child.exitCode)
        child.on("exit", resolve)
        child.kill(signal)
      })
      return { code, tookMillis: performance.now() - started }
    }
  }
}

/** Ends what may still run, and removes the data. */
export const discard = async (system: System) => {
  await system.stop()
  rmSync(system.data, { recursive: true, force: true })
}

/** Every process whose command line or environment names the data folder of a system. */
export const processesOf = (data: string) =>
  readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((pid) =>
      ["cmdline", "environ"].some((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, "utf8").includes(data)
        } catch {
          return false
        }
      })
    )

/** curl, as a user would call it; fails when curl does. */
export const curl = (...options: ReadonlyArray<string>) =>
  execFileSync("curl", ["--silent", "--show-error", ...options], { encoding: "utf8", maxBuffer: 1 << 28 })
