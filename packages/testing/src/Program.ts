import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { Effect } from "effect"

/** A line of the log, as programs write it. */
export interface LogLine {
  readonly level: string
  readonly message: string
  readonly data: Readonly<Record<string, unknown>>
}

/** What runs a script on the runtime of the test. Bun does not read `.env` by itself, as the programs are started. */
export const commandLine = (script: string): readonly [program: string, ...args: ReadonlyArray<string>] =>
  typeof Bun === "undefined" ? [process.execPath, script] : [process.execPath, "--no-env-file", script]

/**
 * Starts the `main.ts` of a service as a user does, over a data folder, on the runtime of the test and on a free port; fails when it
 * ends before it listens. It is killed with the scope.
 */
export const start = Effect.fnUntraced(function* (
  main: string,
  dataDirectory: string,
  environment: Readonly<Record<string, string>> = {}
) {
  const [program, ...args] = commandLine(main)
  const log: Array<LogLine> = []
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(program, args, {
        cwd: dataDirectory,
        env: {
          ...process.env,
          OPSBUDDY_DATA_DIRECTORY: dataDirectory,
          OPSBUDDY_LOG_FORMAT: "json",
          // Nothing listens at the discard port.
          OPSBUDDY_TIMESERIES_URL: "http://127.0.0.1:9",
          SERVICE_PORT: "0",
          ...environment
        },
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) => end(child, "SIGKILL")
  )
  const address = yield* Effect.callback<string, Error>((resume) => {
    child.once("exit", (code) => resume(Effect.fail(new Error(`${main} ended with ${code}: ${JSON.stringify(log)}`))))
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line: LogLine = JSON.parse(text)
      log.push(line)
      if (line.message === "listening") resume(Effect.succeed(String(line.data.url)))
    })
  })
  return {
    address,
    child,
    log,
    kill: end(child, "SIGKILL"),
    stop: end(child, "SIGTERM"),
    /** Resident memory in MiB: proc(5). */
    resident: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) / 1024
  }
})

const end = (child: ChildProcess, signal: NodeJS.Signals) =>
  Effect.promise(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, "exit")
    child.kill(signal)
    await exited
  })
