import { createHash } from "node:crypto"
import { FileId } from "@opsbuddy/contract/Files"
import { Effect, FileSystem, Option, Path, Schema, Scope, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import * as BlockChecksums from "./BlockChecksums.ts"
import * as ContentRecord from "./ContentRecord.ts"

/** A file whose bytes are on disk and that nobody can see yet. `size` in bytes, `sha256` in lower-case hexadecimal. */
export interface Staged {
  readonly path: string
  readonly size: number
  readonly sha256: string
  readonly checksums: ReadonlyArray<number>
}

/** What lies in one folder of contents: ids of contents, of records, and of contents that are being removed. */
export interface Shard {
  readonly contents: ReadonlyArray<FileId>
  readonly records: ReadonlySet<FileId>
  readonly removals: ReadonlyArray<FileId>
}

/** Contents are spread over folders by the last two digits of their id, which are random. */
const shardNames = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"))

const isFileId = Schema.is(FileId)

const idsOf = (names: ReadonlyArray<string>, suffix: string) =>
  names.flatMap((name) => {
    const id = name.slice(0, name.length - suffix.length)
    return name.endsWith(suffix) && isFileId(id) ? [id] : []
  })

export const [recordSuffix, removalSuffix, uploadSuffix, stagedSuffix] = [".json", ".removed", ".upload", ".part"]

/**
 * The bytes of files below `directory`, and what lies beside them:
 *
 * - `incoming/<uuid>.part` while bytes arrive; `incoming/<uuid>.upload` lists the ids of an upload that is being committed, and
 *   `incoming/<id>.<revision>.json` is a record that is about to replace the present one;
 * - `content/<xx>/<id>` once whole, and its record `<id>.json`, which is `<id>.removed` while both are being removed;
 * - `lost+found/` what a start found without knowing whose it is.
 *
 * `Recovery.ts` says in which order these are written, and what a start makes of each.
 */
export const make = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const random = yield* SecureRandom.SecureRandom
  const incoming = path.join(directory, "incoming")
  const lostAndFound = path.join(directory, "lost+found")
  const shardOf = (id: string) => path.join(directory, "content", id.slice(-2))
  const pathOf = (id: string) => path.join(shardOf(id), id)
  const recordOf = (id: string) => `${pathOf(id)}${recordSuffix}`
  const removalOf = (id: string) => `${pathOf(id)}${removalSuffix}`

  const syncFolder = (folder: string) =>
    Effect.scoped(Effect.flatMap(fs.open(folder, { flag: "r" }), (handle) => Effect.uninterruptible(handle.sync)))
  const remove = (file: string) => fs.remove(file, { force: true })

  /** Writes a new file and synchronises it. */
  const write = (file: string, text: string) =>
    Effect.scoped(
      Effect.flatMap(fs.open(file, { flag: "w" }), (handle) =>
        Effect.uninterruptible(Effect.andThen(handle.writeAll(new TextEncoder().encode(text)), handle.sync))
      )
    )

  yield* fs.makeDirectory(incoming, { recursive: true })
  yield* Effect.forEach(shardNames, (shard) => fs.makeDirectory(shardOf(shard), { recursive: true }), { discard: true })
  yield* syncFolder(path.join(directory, "content"))
  yield* syncFolder(directory)

  /** A new name in `incoming`; what is there is removed when the scope closes. */
  const temporary = (suffix: string) =>
    Effect.acquireRelease(
      Effect.map(random.uuidV4(), (name) => path.join(incoming, `${name}${suffix}`)),
      (name) => Effect.ignore(remove(name), { log: "Warn" })
    )

  const stage = Effect.fnUntraced(function* <E>(content: Stream.Stream<Uint8Array, E>, scope: Scope.Scope) {
    const temporaryPath = yield* Scope.provide(temporary(stagedSuffix), scope)
    const hash = createHash("sha256")
    const checksums = BlockChecksums.make()
    let size = 0
    yield* Effect.scoped(
      Effect.gen(function* () {
        const file = yield* fs.open(temporaryPath, { flag: "wx" })
        yield* Stream.runForEach(content, (bytes) => {
          hash.update(bytes)
          checksums.update(bytes)
          size += bytes.length
          // An interruption must not close the file under a write: its number could be another file's by then.
          return Effect.uninterruptible(file.writeAll(bytes))
        })
        yield* Effect.uninterruptible(file.sync)
      })
    )
    return {
      path: temporaryPath,
      size,
      sha256: hash.digest("hex"),
      checksums: checksums.end()
    } satisfies Staged
  })

  /** Removes a content and what lies beside it; the mark of its removal goes last. */
  const erase = Effect.fnUntraced(function* (id: string) {
    yield* remove(recordOf(id))
    yield* remove(pathOf(id))
    yield* remove(removalOf(id))
  })

  const readRecord = (file: string) =>
    fs.readFileString(file).pipe(
      Effect.map(ContentRecord.decode),
      Effect.catchIf(
        (error) => error.reason._tag === "NotFound",
        () => Effect.succeed(Option.none<ContentRecord.ContentRecord>())
      )
    )

  return {
    directory,
    incoming,
    lostAndFound,
    pathOf,
    recordOf,
    removalOf,
    syncFolder,
    /** Writes a stream to a temporary file and to the disk; the file goes when `scope` closes, unless it is published. */
    stage,
    /** Notes the ids of an upload that is about to be published. Gives the file that does. */
    announce: Effect.fnUntraced(function* (ids: ReadonlyArray<FileId>) {
      const file = path.join(incoming, `${yield* random.uuidV4()}${uploadSuffix}`)
      yield* fs.writeFileString(file, ids.join("\n")).pipe(Effect.onError(() => Effect.ignore(remove(file))))
      return file
    }),
    /** Ends an upload: what was published with this file is not swept by any later start. */
    conclude: (announced: string) => Effect.andThen(remove(announced), syncFolder(incoming)),
    /** Writes the record of a staged file and moves the file to its place, durably. */
    publish: Effect.fnUntraced(function* ({ checksums, path: from }: Staged, record: ContentRecord.ContentRecord) {
      const { id } = record.info
      yield* write(recordOf(id), ContentRecord.encode({ ...record, checksums }))
      yield* fs.rename(from, pathOf(id))
      yield* syncFolder(shardOf(id))
    }),
    record: (id: string) => readRecord(recordOf(id)),
    readRecord,
    /** Writes a record that is to replace the present one; gives the effect that replaces it. Removed with the scope until then. */
    prepareRecord: Effect.fnUntraced(function* (record: ContentRecord.ContentRecord) {
      const { id, revision } = record.info
      const file = path.join(incoming, `${id}.${revision}${recordSuffix}`)
      yield* Effect.acquireRelease(
        write(file, ContentRecord.encode(record)).pipe(Effect.tapError(() => Effect.ignore(remove(file)))),
        () => Effect.ignore(remove(file), { log: "Warn" })
      )
      return Effect.andThen(fs.rename(file, recordOf(id)), syncFolder(shardOf(id)))
    }),
    /** Marks a content as about to be removed, which needs no room on the disk. */
    mark: (id: FileId) =>
      fs.rename(recordOf(id), removalOf(id)).pipe(
        Effect.catchIf(
          (error) => error.reason._tag === "NotFound",
          () => fs.writeFileString(removalOf(id), "")
        ),
        Effect.andThen(syncFolder(shardOf(id)))
      ),
    unmark: (id: FileId) => fs.rename(removalOf(id), recordOf(id)),
    erase,
    /** What lies in the folders of contents, one after the other. Names that are none of ours are left out. */
    shards: Stream.fromIterable(shardNames).pipe(
      Stream.mapEffect((name) =>
        Effect.map(
          fs.readDirectory(shardOf(name)),
          (names): Shard => ({
            contents: names.filter(isFileId),
            records: new Set(idsOf(names, recordSuffix)),
            removals: idsOf(names, removalSuffix)
          })
        )
      )
    ),
    /** Fails when this many bytes cannot be written. */
    probe: (bytes: number) =>
      Effect.scoped(
        Effect.flatMap(temporary(stagedSuffix), (name) => fs.writeFile(name, new Uint8Array(bytes).fill(1)))
      )
  }
})

export type ContentFolder = Effect.Success<ReturnType<typeof make>>
