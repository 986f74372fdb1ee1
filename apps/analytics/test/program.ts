import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

/** The program as a user starts it, on a free port; killed with the scope. `lines` is its log. */
export const program = Effect.fnUntraced(function* (dataDirectory: string) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [fileURLToPath(new URL("../src/main.ts", import.meta.url))], {
        env: {
          ...process.env,
          OPSBUDDY_DATA_DIRECTORY: dataDirectory,
          OPSBUDDY_LOG_FORMAT: "json",
          // Nothing listens at the discard port.
          OPSBUDDY_TIMESERIES_URL: "http://127.0.0.1:9",
          SERVICE_PORT: "0"
        },
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const exited = once(child, "exit")
        child.kill("SIGKILL")
        await exited
      })
  )
  const lines: Array<string> = []
  const address = yield* Effect.callback<string, Error>((resume) => {
    child.once("exit", (code) => resume(Effect.fail(new Error(`analytics ended with ${code}`))))
    createInterface({ input: child.stdout }).on("line", (text) => {
      lines.push(text)
      const { data, message } = JSON.parse(text)
      if (message === "listening") resume(Effect.succeed(data.url))
    })
  })
  return { address, child, lines }
})
