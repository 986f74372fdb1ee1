import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

const main = fileURLToPath(new URL("fakes/main.ts", import.meta.url))

/** Asks again every 20 ms, for at most 12 s, until the condition gives something. */
export const until = <A>(what: string, condition: () => A | undefined | false) =>
  Effect.gen(function* () {
    for (let asked = 0; asked < 600; asked++) {
      const found = yield* Effect.sync(condition)
      if (found !== undefined && found !== false) return found
      yield* Effect.sleep("20 millis")
    }
    return yield* Effect.die(new Error(`waited in vain for ${what}`))
  })

/** Whether a process runs; one that has ended and is not yet collected by its parent does not. */
export const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return !existsSync("/proc/self/stat") || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

/** What the fakes noted in the data directory: what happened, to which process, when (ms). */
export const notes = (directory: string) =>
  readdirSync(directory)
    .filter((file) => file.endsWith(".notes"))
    .flatMap((file) =>
      readFileSync(join(directory, file), "utf8")
        .trim()
        .split("\n")
        .map((line) => {
          const [what = "", pid = "", at = ""] = line.split(" ")
          return { service: file.slice(0, -".notes".length), what, pid: Number(pid), at: Number(at) }
        })
    )

/** Every process that the fakes in this directory were or started. */
export const everyPid = (directory: string) => [
  ...new Set(
    notes(directory).flatMap(({ pid, what }) => (what.startsWith("heir=") ? [pid, Number(what.slice(5))] : [pid]))
  )
]

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "opsbuddy-cli-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

export interface Program {
  readonly child: ChildProcess
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  /** Waits for the end, and gives the exit code. */
  readonly exitCode: Effect.Effect<number | null>
}

export interface RunOptions {
  readonly env?: Record<string, string>
  readonly cwd?: string
  /** Standard output is not read. */
  readonly unread?: boolean
}

/** Runs `opsbuddy` over the fakes, with the runtime of the test. What is left of it is killed when the scope closes. */
export const run = (args: ReadonlyArray<string>, options: RunOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync((): Program => {
      const { FORCE_COLOR, NODE_OPTIONS, ...env } = process.env
      const child = spawn(process.execPath, [main, ...args], {
        env: { ...env, ...options.env },
        detached: true,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd })
      })
      let stdout = ""
      let stderr = ""
      let ended: number | null | undefined
      if (options.unread !== true)
        child.stdout.on("data", (bytes) => {
          stdout += bytes
        })
      child.stderr.on("data", (bytes) => {
        stderr += bytes
      })
      child.on(options.unread === true ? "exit" : "close", (code) => {
        ended = code
      })
      return {
        child,
        pid: child.pid ?? 0,
        stdout: () => stdout,
        stderr: () => stderr,
        exitCode: Effect.map(
          until("the end", () => (ended === undefined ? undefined : { ended })),
          (_) => _.ended
        )
      }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Runs `opsbuddy up` on free ports in a directory of its own, and kills what the fakes leave behind. */
export const up = Effect.fnUntraced(function* (args: ReadonlyArray<string> = [], options: RunOptions = {}) {
  const directory = yield* temporaryDirectory
  yield* Effect.addFinalizer(() => Effect.sync(() => kill(directory)))
  const program = yield* run(["up", "--data", directory, "--port-base", "0", ...args], options)
  return { ...program, directory }
})

const kill = (directory: string) => {
  for (const pid of everyPid(directory)) if (isAlive(pid)) process.kill(pid, "SIGKILL")
}

export const isReady = (program: Program) => until("the announcement", () => /OpsBuddy is ready/.test(program.stdout()))

/** Listens on a port, or on a free one for 0, until the scope closes. Gives the port; fails when it is in use. */
export const occupy = (wanted: number) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Server, Error>((resume) => {
        const server = createServer()
        server.once("error", (error) => resume(Effect.fail(error)))
        server.listen(wanted, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
    ),
    (server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : wanted
    }
  )

/** A port that is free now. */
export const freePort = Effect.scoped(occupy(0))
