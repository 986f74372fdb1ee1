import { join } from "node:path"
import type { Platform } from "@opsbuddy/runtime/App"
import { DatabaseNotUsable } from "@opsbuddy/runtime/Sqlite"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Clock, Console, Effect, FileSystem, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import * as ContentFolder from "./ContentFolder.ts"
import * as FileIndex from "./FileIndex.ts"
import * as FolderLock from "./FolderLock.ts"
import * as LostAndFound from "./LostAndFound.ts"
import * as Recovery from "./Recovery.ts"

const run = Effect.fnUntraced(function* (directory: string) {
  const contents = yield* ContentFolder.make(directory)
  const index = yield* FileIndex.make
  const lost = yield* LostAndFound.make(contents)
  // First ends what was interrupted, so that no half of an upload becomes a file.
  yield* Recovery.sweep(contents, index)
  const { left, taken } = yield* lost.takeBack
  const counts = yield* Recovery.applyRecords(contents, index, { insert: true })
  const { files } = yield* index.totals
  yield* Console.log(
    [
      `reindexed ${directory}: ${files} files`,
      `  ${counts.records} records read, ${counts.inserted} files added to the index, ${counts.updated} brought up to date`,
      `  ${taken} contents taken back from lost+found, ${left} left there without a record of their own`,
      ...(counts.invalid === 0 ? [] : [`  ${counts.invalid} records are damaged and were left as they are`]),
      ...(counts.withoutContent === 0 ? [] : [`  ${counts.withoutContent} records have no content`])
    ].join("\n")
  )
})

/** Moves an index that cannot be used out of the way, with its log. Gives where it is now. */
const setAside = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const aside = `index.db.damaged-${yield* Clock.currentTimeMillis}`
  for (const suffix of ["", "-wal", "-shm", ".commits"]) {
    const from = join(directory, `index.db${suffix}`)
    if (yield* fs.exists(from)) yield* fs.rename(from, join(directory, `${aside}${suffix}`))
  }
  yield* Console.log(`the index was damaged and is now ${join(directory, aside)}`)
})

const isDamaged = (error: unknown) => error instanceof DatabaseNotUsable && error.message.includes("is damaged")

/** Builds the index, and fails where SQLite finds it damaged. */
const withIndex = Effect.fnUntraced(function* (directory: string) {
  const health = yield* StoreHealth
  const context = yield* Layer.build(FileIndex.layer(directory))
  const found = (yield* health.notices).find(({ message }) => message.includes("is damaged"))
  if (found !== undefined) return yield* new DatabaseNotUsable({ message: found.message })
  yield* Effect.provideContext(run(directory), context)
}, Effect.scoped)

/**
 * The command `reindex`: rebuilds the index of the folder from the records beside the contents, and takes back from `lost+found` what
 * has one. Exits 0 when it has, 1 when the folder is in use, is missing or cannot be written.
 */
export const reindex = (directory: string): Effect.Effect<number, never, Platform> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    if (!(yield* fs.exists(directory))) {
      yield* Console.error(`${directory} does not exist: name the data folder with --data`)
      return 1
    }
    yield* FolderLock.acquire(directory)
    yield* Effect.catchIf(withIndex(directory), isDamaged, () =>
      Effect.andThen(setAside(directory), withIndex(directory).pipe(Effect.provide(Layer.fresh(StoreHealth.layer))))
    )
    return 0
  }).pipe(
    Effect.scoped,
    Effect.provide(SecureRandom.layerWebCrypto),
    Effect.catch((error) =>
      Effect.as(Console.error(`reindex failed: ${error instanceof Error ? error.message : String(error)}`), 1)
    )
  )
