import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

/** The program as a user starts it, on a free port; killed with the scope. */
export const program = Effect.fnUntraced(function* (dataDirectory: string) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [main], {
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
  const lines: Array<{ readonly message: string; readonly level: string }> = []
  const address = yield* Effect.callback<string, Error>((resume) => {
    child.once("exit", (code) => resume(Effect.fail(new Error(`files ended with ${code}`))))
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line = JSON.parse(text)
      lines.push(line)
      const { data, message } = line
      if (message === "listening") resume(Effect.succeed(data.url))
    })
  })
  return { address, child, lines }
})

/** Uploads the contents in one request. */
export const upload = async (address: string, contents: ReadonlyArray<Uint8Array<ArrayBuffer>>) => {
  const body = new FormData()
  for (const content of contents) body.append("file", new File([content], "f"))
  const response = await fetch(`${address}/api/files/upload`, { method: "POST", body })
  if (response.status !== 201) throw new Error(`answered ${response.status}`)
  // Only tests read it.
  return (await response.json()) as { readonly items: ReadonlyArray<{ readonly id: string; readonly sha256: string }> }
}

/** Runs the command `reindex` of the program over the folder; gives its exit code. */
export const reindex = (dataDirectory: string) =>
  Effect.promise(async () => {
    const child = spawn(process.execPath, [main, "reindex"], {
      env: { ...process.env, OPSBUDDY_DATA_DIRECTORY: dataDirectory },
      stdio: "ignore"
    })
    const [code] = await once(child, "exit")
    return code
  })
