import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import * as Program from "@opsbuddy/testing/Program"
import { Effect } from "effect"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

/** The program as a user starts it, on a free port; killed with the scope. */
export const program = (dataDirectory: string) => Program.start(main, dataDirectory)

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
