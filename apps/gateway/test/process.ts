import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import type { ConfigDocument } from "../src/config/ConfigDocument.ts"

/** The gateway as a process of its own, as a user starts it. */
export interface GatewayProcess {
  readonly port: number
  readonly pid: number
  /** What it has in memory now, and the most that it had since `forgetPeak`, in bytes. */
  readonly memory: () => { readonly now: number; readonly peak: number }
  readonly forgetPeak: () => void
  readonly log: () => string
}

const main = new URL("../src/main.ts", import.meta.url).pathname

const kibibytes = (status: string, name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024

/** Starts it on the runtime of the test, over a file, on a free port; it ends with the scope. */
export const start = (config: ConfigDocument, environment: Readonly<Record<string, string>> = {}) =>
  Effect.acquireRelease(
    Effect.callback<GatewayProcess & { readonly end: () => void }>((resume) => {
      const folder = mkdtempSync(join(tmpdir(), "opsbuddy-gateway-"))
      // JSON is YAML.
      writeFileSync(join(folder, "opsbuddy.yaml"), JSON.stringify(config))
      const args = typeof Bun === "undefined" ? [main] : ["--no-env-file", main]
      const child = spawn(process.execPath, args, {
        cwd: folder,
        env: {
          PATH: process.env.PATH,
          GATEWAY_PORT: "0",
          OPSBUDDY_DATA_DIRECTORY: folder,
          OPSBUDDY_LOG_FORMAT: "json",
          ...environment
        },
        stdio: ["ignore", "pipe", "pipe"]
      })
      let log = ""
      let ended: string | undefined
      const read = (chunk: Buffer) => {
        log += chunk.toString()
        const port = /"url":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(log)?.[1]
        const { pid } = child
        if (port === undefined || pid === undefined) return
        const status = () => {
          if (ended !== undefined) throw new Error(`ended ${ended}:\n${log}`)
          return readFileSync(`/proc/${pid}/status`, "utf8")
        }
        resume(
          Effect.succeed({
            port: Number(port),
            pid,
            memory: () => ({ now: kibibytes(status(), "VmRSS"), peak: kibibytes(status(), "VmHWM") }),
            // 5 sets the peak to what is there now (proc(5)).
            forgetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, "5"),
            log: () => log,
            end: () => {
              child.kill("SIGKILL")
              rmSync(folder, { recursive: true, force: true })
            }
          })
        )
      }
      child.stdout.on("data", read)
      child.stderr.on("data", read)
      child.once("exit", (code, signal) => {
        ended = `with ${code ?? signal}`
        resume(Effect.die(new Error(`ended ${ended}:\n${log}`)))
      })
    }),
    ({ end }) => Effect.sync(end)
  )
