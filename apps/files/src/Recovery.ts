import { FileId } from "@opsbuddy/contract/Files"
import { SqliteStore } from "@opsbuddy/runtime/SqliteStore"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Effect, FileSystem, Option, Path, Schema, Stream } from "effect"
import type { ContentFolder, Shard } from "./ContentFolder.ts"
import { recordSuffix, stagedSuffix, uploadSuffix } from "./ContentFolder.ts"
import type { FileIndex } from "./FileIndex.ts"
import type { LostAndFound } from "./LostAndFound.ts"

/**
 * The order of steps, and what a start makes of a process that ended between two of them. An acknowledged file is in the index, its
 * content and its record are in place, and nothing in `incoming` names it: so whatever happens to the index, the content is found.
 *
 * Upload: 1 bytes to `<uuid>.part`; 2 `<uuid>.upload` with the ids; 3 records and contents in place; 4 rows committed; 5 `<uuid>.upload`
 * removed; 6 acknowledged.
 * - Ended before 2: `.part` files are removed, for nobody was told of them.
 * - Before 4: the index knows none of the ids in `.upload`, which are removed, and then `.upload`. Nobody was told of them either.
 * - Before 6: the index knows the ids, so only `.upload` is removed.
 *
 * Change of metadata: 1 new record to `<id>.<revision>.json`; 2 row committed; 3 the new record replaces the old one; 4 acknowledged.
 * - Before 2: the index has an older revision than the new record, which is removed.
 * - Before 3: the index has that revision, so the start does step 3.
 * Of an index and a record in place the one with the higher revision is right: an index falls behind where an older one was put back.
 *
 * Removal: 1 the record becomes `<id>.removed`; 2 row removed; 3 acknowledged; 4 content and `<id>.removed` removed.
 * - Before 2 and before 4: the start ends the removal, so that no file comes back that was removed, also with an older index.
 *
 * All else that the index does not know moves to `lost+found`.
 */
export const run = Effect.fnUntraced(function* (contents: ContentFolder, index: FileIndex, lost: LostAndFound) {
  const health = yield* StoreHealth
  const { essential, read, write } = yield* SqliteStore
  // What is reported before this is what SQLite has found: commits are missing, or the database is damaged.
  const indexIsBehind = (yield* health.notices).length > 0
  yield* sweep(contents, index)

  let [known, found, kept] = [0, 0, 0]
  const visit = Effect.fnUntraced(function* ({ contents: ids, records, removals }: Shard) {
    for (const id of removals) {
      yield* essential(index.remove(id))
      yield* contents.erase(id)
    }
    const removed = new Set(removals)
    const present = ids.filter((id) => !removed.has(id))
    const unknown = new Set(yield* read(index.unknown(present)))
    known += present.length - unknown.size
    for (const id of unknown) {
      const moved = yield* lost.put(id)
      if (moved) found++
      else kept++
      if (found + kept <= maxLines) {
        yield* Effect.logWarning(moved ? "unknown content moved to lost+found" : "unknown content left in place", {
          id
        })
      }
    }
    const withoutRecord = present.filter((id) => !unknown.has(id) && !records.has(id))
    if (withoutRecord.length > 0) yield* write(index.setRecord(withoutRecord, 0))
  })
  // A full disk must not keep the service from its start: what could not be moved is left where it is.
  const tolerant = (shard: Shard) =>
    Effect.catch(visit(shard), (error) => Effect.logError("cannot put a folder of contents in order", { error }))
  yield* Stream.runForEach(contents.shards, (shard) => Effect.andThen(tolerant(shard), Effect.yieldNow))

  if (found > 0) {
    yield* health.notice(
      `${found} contents that the index does not know were moved to ${contents.lostAndFound}: stop the service and run ` +
        "opsbuddy files reindex to take them back",
      { found }
    )
  }
  if (kept > 0) {
    yield* health.notice(
      `${kept} contents that the index does not know were left in ${contents.directory}/content: ${contents.lostAndFound} has others of the same names`,
      { kept }
    )
  }
  if (indexIsBehind || found > 0) {
    const applied = yield* applyRecords(contents, index, { insert: false })
    if (applied.updated > 0) {
      yield* health.notice(
        `the index had older metadata of ${applied.updated} files than the records beside their contents, which were taken over`,
        applied
      )
    }
  }
  const { files } = yield* read(index.totals)
  // Beside what the service does: there may be a million to look for.
  if (files > known) {
    yield* Effect.forkScoped(
      Effect.catch(reportMissing(contents, index), (error) =>
        Effect.logError("cannot look for missing contents", { error })
      )
    )
  }
})

const isFileId = Schema.is(FileId)

/** How many log lines a start writes about single contents. */
const maxLines = 100

/** Ends or undoes what a process that has ended had begun; see `run`. */
export const sweep = Effect.fnUntraced(function* (contents: ContentFolder, index: FileIndex) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { read } = yield* SqliteStore
  for (const name of yield* fs.readDirectory(contents.incoming)) {
    const file = path.join(contents.incoming, name)
    // Without a suffix are those of version 0.1.0.
    if (name.endsWith(stagedSuffix) || /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(name)) {
      yield* fs.remove(file, { force: true })
    } else if (name.endsWith(uploadSuffix)) {
      const ids = (yield* fs.readFileString(file)).split("\n").filter(isFileId)
      for (const id of yield* read(index.unknown(ids))) yield* contents.erase(id)
      yield* contents.conclude(file)
    } else if (name.endsWith(recordSuffix)) {
      const record = Option.getOrUndefined(yield* contents.readRecord(file))
      const row = record === undefined ? undefined : yield* read(index.find(record.info.id))
      if (record !== undefined && row !== undefined && row.revision >= record.info.revision) {
        yield* fs.rename(file, contents.recordOf(row.id))
      } else yield* fs.remove(file, { force: true })
    }
  }
})

/** Names files whose content is gone. */
const reportMissing = Effect.fnUntraced(function* (contents: ContentFolder, index: FileIndex) {
  const fs = yield* FileSystem.FileSystem
  const health = yield* StoreHealth
  const { read } = yield* SqliteStore
  let [missing, after] = [0, ""]
  for (let ids = yield* read(index.ids(after, 1000)); ids.length > 0; ids = yield* read(index.ids(after, 1000))) {
    for (const id of ids) {
      if (yield* fs.exists(contents.pathOf(id))) continue
      // Removed since the page was read.
      if ((yield* read(index.find(id))) === undefined) continue
      missing++
      if (missing <= maxLines) yield* Effect.logWarning("content is missing", { id })
    }
    after = ids.at(-1) ?? ""
  }
  if (missing > 0) {
    yield* health.notice(`the contents of ${missing} files are missing from ${contents.directory}/content`, { missing })
  }
})

/** Takes over what records know better than the index: higher revisions and, with `insert`, files that it does not know. */
export const applyRecords = Effect.fnUntraced(function* (
  contents: ContentFolder,
  index: FileIndex,
  { insert }: { readonly insert: boolean }
) {
  const { read, write } = yield* SqliteStore
  const counts = { records: 0, inserted: 0, updated: 0, invalid: 0, withoutContent: 0 }
  const visit = Effect.fnUntraced(function* ({ contents: ids, records }: Shard) {
    const present = new Set(ids)
    for (const id of records) {
      counts.records++
      const record = Option.getOrUndefined(yield* contents.record(id))
      if (record === undefined || record.info.id !== id) {
        counts.invalid++
        yield* Effect.logWarning("record is damaged", { id })
        continue
      }
      if (!present.has(id)) {
        counts.withoutContent++
        continue
      }
      const row = yield* read(index.find(id))
      if (row === undefined ? !insert : row.revision >= record.info.revision) continue
      yield* write(index.replace(record.info, record.checksums === undefined ? 1 : 2))
      if (row === undefined) counts.inserted++
      else counts.updated++
    }
  })
  yield* Stream.runForEach(contents.shards, visit)
  return counts
})
