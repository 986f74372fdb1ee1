import { join } from "node:path"
import { FileId, FileInfo, FileNotFound, type Tags } from "@opsbuddy/contract/Files"
import { StoreUnavailable } from "@opsbuddy/contract/Problems"
import type { HealthState } from "@opsbuddy/contract/Service"
import * as Sqlite from "@opsbuddy/runtime/Sqlite"
import { Cause, DateTime, Effect, FileSystem, Layer, type PlatformError, Schema, Stream } from "effect"
import { SecureRandom } from "effect/crypto"
import { HttpPlatform } from "effect/http"
import type { SqlError } from "effect/sql"
import * as ContentFolder from "./ContentFolder.ts"
import * as FileIndex from "./FileIndex.ts"
import { type Draft, FileStore, type Range } from "./FileStore.ts"
import * as FolderLock from "./FolderLock.ts"

export interface LocalOptions {
  /** Holds the bytes and the index. Made when it is not there, and this process's alone. */
  readonly directory: string
}

type Failure = PlatformError.PlatformError | SqlError.SqlError

const isFailure = <E>(error: E): error is Extract<E, Failure> =>
  error instanceof Error && "_tag" in error && (error._tag === "PlatformError" || error._tag === "SqlError")

const logged = (operation: string, error: Failure) =>
  Effect.logError("file store failed", { operation }, Cause.fail(error))

/** The one place where failures of disk and database become the caller's problem; their detail goes to the log. */
const available =
  (operation: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.catchIf(effect, isFailure<E>, (error) =>
      Effect.andThen(logged(operation, error), Effect.fail(new StoreUnavailable({ applied: "no" })))
    )

interface Added {
  readonly name: string
  readonly contentType: string
  readonly staged: ContentFolder.Staged
}

const make = Effect.fnUntraced(function* ({ directory }: LocalOptions) {
  const platform = yield* HttpPlatform.HttpPlatform
  const random = yield* SecureRandom.SecureRandom
  const contents = yield* ContentFolder.make(directory)
  const index = yield* FileIndex.make
  yield* sweep(contents, index)

  const found = Effect.fnUntraced(function* (id: FileId, info: FileInfo | undefined) {
    return info ?? (yield* new FileNotFound({ id }))
  })

  const stat = Effect.fn("FileStoreLocal.stat")(
    (id: FileId) => Effect.flatMap(index.find(id), (info) => found(id, info)),
    available("stat")
  )

  /** Contents first, then all rows in one transaction, so that what is listed can be read. */
  const commit = Effect.fn("FileStoreLocal.commit")(
    function* (added: ReadonlyArray<Added>, tags: Tags) {
      const now = yield* DateTime.now
      const files = yield* Effect.forEach(added, ({ name, contentType, staged }) =>
        Effect.map(random.uuidV7(), (uuid) => {
          const { size, sha256 } = staged
          const id = FileId.make(uuid)
          return {
            staged,
            info: new FileInfo({ id, name, contentType, size, sha256, tags, createdAt: now, modifiedAt: now })
          }
        })
      )
      const infos = files.map(({ info }) => info)
      yield* Effect.forEach(files, ({ staged, info }) => contents.publish(staged, info.id), { discard: true }).pipe(
        Effect.andThen(index.insert(infos)),
        Effect.onError(() => Effect.forEach(infos, ({ id }) => Effect.ignore(contents.remove(id), { log: "Warn" })))
      )
      return infos
    },
    available("commit"),
    Effect.uninterruptible
  )

  const draft = Effect.map(Effect.scope, (scope): Draft => {
    const added: Array<Added> = []
    return {
      add: Effect.fn("FileStoreLocal.add")(function* (file, content) {
        added.push({ ...file, staged: yield* contents.stage(content, scope) })
      }, available("add")),
      commit: (tags) => commit(added, tags)
    }
  })

  /** A file that is removed after it was found is not found; one that has lost its bytes is a failure of the disk. */
  const content = Effect.fn("FileStoreLocal.content")(function* (info: FileInfo, range?: Range) {
    const { first, last } = range ?? { first: 0, last: info.size - 1 }
    return yield* platform
      .fileResponse(contents.pathOf(info.id), { offset: first, bytesToRead: last - first + 1 })
      .pipe(Effect.catch((error) => Effect.andThen(stat(info.id), Effect.fail(error))))
  }, available("content"))

  const update = Effect.fn("FileStoreLocal.update")(function* (
    id: FileId,
    changes: { readonly name?: string; readonly tags?: Tags }
  ) {
    return yield* found(id, yield* index.update(id, changes, yield* DateTime.now))
  }, available("update"))

  /** The row first: a crash in between leaves bytes that nobody lists, and the next start removes them. */
  const remove = Effect.fn("FileStoreLocal.remove")(
    function* (id: FileId) {
      if (!(yield* index.remove(id))) return yield* new FileNotFound({ id })
      yield* Effect.catch(contents.remove(id), (error) => logged("remove", error))
    },
    available("remove"),
    Effect.uninterruptible
  )

  const health = index.ping.pipe(
    Effect.andThen(
      contents.probe.pipe(
        Effect.as<HealthState>("healthy"),
        Effect.catch((error) => Effect.as(logged("write", error), "degraded" as const))
      )
    ),
    Effect.catch((error) => Effect.as(logged("ask the index", error), "unhealthy" as const))
  )

  const usage = index.bytes.pipe(
    Effect.map((bytes) => ({ kind: "local disk and sqlite", location: directory, bytes })),
    available("usage")
  )

  return FileStore.of({
    draft,
    stat,
    content,
    list: (selection) => available("list")(index.list(selection)),
    update,
    remove,
    health,
    usage
  })
})

const isFileId = Schema.is(FileId)

/** Removes contents without a row, which an upload or a removal that was cut off has left. */
const sweep = (contents: ContentFolder.ContentFolder, index: FileIndex.FileIndex) =>
  contents.ids.pipe(
    Stream.mapEffect((ids) => index.unknown(ids.filter(isFileId))),
    Stream.runForEach((ids) => Effect.forEach(ids, contents.remove, { discard: true }))
  )

/**
 * Bytes on the local disk, what is known about them in SQLite beside them. An upload that was answered survives the end of the process
 * at any moment, and the machine's; one that was cut off leaves nothing that can be seen, and nothing at all after the next
 * start. The start fails when another process has the directory.
 */
export const layer = (options: LocalOptions) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      yield* fs.makeDirectory(options.directory, { recursive: true })
      yield* FolderLock.acquire(options.directory)
      return Layer.effect(FileStore, make(options)).pipe(
        Layer.provide(
          Sqlite.layer({ filename: join(options.directory, "index.db"), migrations: FileIndex.migrations })
        ),
        Layer.provide(SecureRandom.layerWebCrypto)
      )
    })
  )
