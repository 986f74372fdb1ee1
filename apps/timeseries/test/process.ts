import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { commandLine } from "@opsbuddy/runtime/Process"
import { Effect } from "effect"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

/** A line of the log, as the program writes it. */
export interface LogLine {
  readonly level: string
  readonly message: string
  readonly data: Readonly<Record<string, unknown>>
}

/** The program as a user starts it, on the runtime of the test and on a free port; killed with the scope. */
export const start = Effect.fnUntraced(function* (
  dataDirectory: string,
  environment: Readonly<Record<string, string>> = {}
) {
  const [program, ...args] = commandLine(main)
  const log: Array<LogLine> = []
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(program, args, {
        cwd: "/",
        env: {
          PATH: process.env.PATH,
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
    (child) => stop(child, "SIGKILL")
  )
  const address = yield* Effect.callback<string, Error>((resume) => {
    child.once("exit", (code) =>
      resume(Effect.fail(new Error(`timeseries ended with ${code}: ${JSON.stringify(log)}`)))
    )
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line: LogLine = JSON.parse(text)
      log.push(line)
      if (line.message === "listening") resume(Effect.succeed(String(line.data.url)))
    })
  })
  return {
    address,
    log,
    kill: stop(child, "SIGKILL"),
    stop: stop(child, "SIGTERM"),
    /** Processor time since its start in seconds, and resident memory in MiB: proc(5). */
    usage: () => {
      const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
      const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]
      return { cpu: (Number(fields[11]) + Number(fields[12])) / 100, rss: Number(rss) / 1024 }
    }
  }
})

const stop = (child: ReturnType<typeof spawn>, signal: NodeJS.Signals) =>
  Effect.promise(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, "exit")
    child.kill(signal)
    await exited
  })

export interface Response {
  readonly status: number
  // Only tests read it, and they look at what they name.
  // biome-ignore lint/suspicious/noExplicitAny: the body of any response
  readonly body: any
}

/** Fails where there is no whole response. */
export const send = async (url: string, init?: RequestInit): Promise<Response> => {
  const response = await fetch(url, init)
  return { status: response.status, body: await response.json() }
}

export const write = (address: string, lines: string) =>
  send(`${address}/api/timeseries/write`, { method: "POST", body: lines, headers: { "content-type": "text/plain" } })

export const query = (address: string, query: unknown) =>
  send(`${address}/api/timeseries/query`, {
    method: "POST",
    body: JSON.stringify(query),
    headers: { "content-type": "application/json" }
  })
