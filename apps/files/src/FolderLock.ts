import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Data, Effect } from "effect"

/** The folder is another process's. */
export class FolderInUse extends Data.TaggedError("FolderInUse")<{
  readonly directory: string
  readonly cause: unknown
}> {
  override get message() {
    return `${this.directory} is in use by another process`
  }
}

/**
 * Holds a folder for this process until the scope closes, or the process ends in whatever way. The lock is SQLite's on an
 * empty database, because that is one that Bun and Node both have.
 */
export const acquire = (directory: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const database = new DatabaseSync(join(directory, "lock"))
        database.exec("PRAGMA busy_timeout = 1000; PRAGMA journal_mode = MEMORY")
        database.exec("BEGIN EXCLUSIVE")
        return database
      },
      catch: (cause) => new FolderInUse({ directory, cause })
    }),
    (database) => Effect.sync(() => database.close())
  )
