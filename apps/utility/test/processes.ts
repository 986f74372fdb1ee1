import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

/** A folder that is removed with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "utility-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Whether the process runs; one that has ended and waits for its parent does not. */
export const isRunning = (pid: number) => {
  const state = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim()
  return state !== "" && !state.startsWith("Z")
}

/** Asks until the answer is yes; a test that never gets it ends by its own time limit. */
export const eventually = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.delay(eventually(condition), "20 millis")))

/** The process id that a program has written to the file, once it has. */
export const pidIn = (file: string) => {
  const read = () => {
    try {
      return Number(readFileSync(file, "utf8"))
    } catch {
      return 0
    }
  }
  return Effect.map(
    eventually(() => read() > 0),
    read
  )
}
