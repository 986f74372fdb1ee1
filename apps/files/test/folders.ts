import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

/** A new folder, removed with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "files-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Everything that a store in `directory` has on disk beside its index and the records of contents. */
export const onDisk = (directory: string) => {
  const names = (folder: string) => (existsSync(join(directory, folder)) ? readdirSync(join(directory, folder)) : [])
  return {
    incoming: names("incoming"),
    contents: names("content")
      .flatMap((shard) => names(join("content", shard)))
      .filter((name) => !name.endsWith(".json"))
      .sort()
  }
}

/** Waits, for as long as the test may take, until `condition` holds. */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.andThen(Effect.sleep("10 millis"), until(condition))))
