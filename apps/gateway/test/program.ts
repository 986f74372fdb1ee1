import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { commandLine } from "@opsbuddy/runtime/Process"
import { Effect } from "effect"
import { eventually, nowhere } from "./gateway.ts"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

/** Starts the gateway as a process of the runtime that runs the test, over a configuration file; killed with the scope. */
export const start = Effect.fnUntraced(function* (file: string) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "gateway-data-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const output: Array<string> = []
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const [program, ...first] = commandLine(main)
      const urls = ["FILES", "UTILITY", "ANALYTICS", "TIMESERIES"].map((name) => [`OPSBUDDY_${name}_URL`, nowhere])
      const child = spawn(program, first, {
        cwd: folder,
        env: {
          PATH: process.env.PATH,
          GATEWAY_PORT: "0",
          OPSBUDDY_GATEWAY_CONFIG: file,
          OPSBUDDY_DATA_DIRECTORY: folder,
          OPSBUDDY_LOG_FORMAT: "json",
          ...Object.fromEntries(urls)
        },
        stdio: ["ignore", "pipe", "pipe"]
      })
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => output.push(text))
      }
      return child
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const port = yield* eventually(
    Effect.sync(() => Number(/"listening".*"url":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(output.join(""))?.[1] ?? 0)),
    (found) => found > 0,
    "20 seconds"
  )
  return { port, output, signal: (name: NodeJS.Signals) => void child.kill(name) }
})
