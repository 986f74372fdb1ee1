import { type ContentDamaged, FileId, FileInfo, FileNotFound, type Tags } from "@opsbuddy/contract/Files"
import { StoreUnavailable } from "@opsbuddy/contract/Problems"
import type { HealthState } from "@opsbuddy/contract/Service"
import type * as Conditions from "@opsbuddy/runtime/Conditions"
import { SqliteStore } from "@opsbuddy/runtime/SqliteStore"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Cause, DateTime, Effect, FileSystem, Layer, Option, Semaphore } from "effect"
import { SecureRandom } from "effect/crypto"
import * as ContentFolder from "./ContentFolder.ts"
import * as ContentResponses from "./ContentResponses.ts"
import * as Disk from "./Disk.ts"
import * as FileIndex from "./FileIndex.ts"
import * as FileSearch from "./FileSearch.ts"
import { contentOf, type Draft, FileStore, metadataOf, proceeds } from "./FileStore.ts"
import * as FolderLock from "./FolderLock.ts"
import * as LostAndFound from "./LostAndFound.ts"
import * as RecordKeeper from "./RecordKeeper.ts"
import * as Recovery from "./Recovery.ts"

export interface LocalOptions {
  /** Holds the bytes and the index. Made when it is not there, and this process's alone. */
  readonly directory: string
}

interface Added {
  readonly name: string
  readonly contentType: string
  readonly staged: ContentFolder.Staged
}

/** Changes of one file run one after the other; so do those of files that share a lock. */
const makeLocks = () => {
  const locks = Array.from({ length: 64 }, () => Semaphore.makeUnsafe(1))
  return <A, E, R>(id: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const lock = locks[Number.parseInt(id.slice(-2), 16) % locks.length]
    return lock === undefined ? effect : lock.withPermit(effect)
  }
}

const make = Effect.fnUntraced(function* ({ directory }: LocalOptions) {
  const random = yield* SecureRandom.SecureRandom
  const health = yield* StoreHealth
  const database = yield* SqliteStore
  const disk = yield* Disk.make(directory)
  const contents = yield* ContentFolder.make(directory)
  const index = yield* FileIndex.make
  const list = FileSearch.make(index)
  const exclusively = makeLocks()
  yield* Recovery.run(contents, index, yield* LostAndFound.make(contents))
  const records = yield* RecordKeeper.make(contents, index, exclusively)
  yield* records.inBackground
  const responses = yield* ContentResponses.make(contents, records.save)

  const find = Effect.fnUntraced(function* (id: FileId) {
    return (yield* database.read(index.find(id))) ?? (yield* new FileNotFound({ id }))
  })

  const stat = Effect.fn("FileStoreLocal.stat")(find)

  /**
   * Takes back what was published of an upload that failed, unless its commit may have reached the disk: then the index says so,
   * and where it does not respond the next start asks it.
   */
  const withdraw =
    (ids: ReadonlyArray<FileId>, announced: string) =>
    <E>(cause: Cause.Cause<E>) =>
      Effect.gen(function* () {
        const error = Cause.squash(cause)
        const isUndecided = error instanceof StoreUnavailable && error.applied === "unknown"
        for (const id of isUndecided ? yield* database.read(index.unknown(ids)) : ids) yield* contents.erase(id)
        yield* contents.conclude(announced)
      }).pipe(Effect.ignore({ log: "Warn" }))

  const commit = Effect.fn("FileStoreLocal.commit")(
    function* (added: ReadonlyArray<Added>, tags: Tags) {
      const now = yield* DateTime.now
      const fresh = { createdAt: now, modifiedAt: now, revision: 1 }
      const files = yield* Effect.forEach(added, ({ name, contentType, staged }) =>
        Effect.map(random.uuidV7(), (uuid) => {
          const { size, sha256 } = staged
          const id = FileId.make(uuid)
          return { staged, info: new FileInfo({ id, name, contentType, size, sha256, tags, ...fresh }) }
        })
      )
      const infos = files.map(({ info }) => info)
      const ids = infos.map(({ id }) => id)
      const announced = yield* contents.announce(ids)
      yield* Effect.forEach(files, ({ staged, info }) => contents.publish(staged, { info }), { discard: true }).pipe(
        Effect.andThen(database.write(Effect.forEach(infos, (info) => index.insert(info, 2), { discard: true }))),
        Effect.onError(withdraw(ids, announced))
      )
      yield* contents.conclude(announced)
      yield* disk.accepted
      return infos
    },
    disk.writes("commit"),
    Effect.uninterruptible
  )

  const draft = Effect.map(Effect.scope, (scope): Draft => {
    const added: Array<Added> = []
    return {
      add: Effect.fn("FileStoreLocal.add")(function* (file, content) {
        added.push({ ...file, staged: yield* contents.stage(content, scope) })
      }, disk.writes("write")),
      commit: (tags) => commit(added, tags)
    }
  })

  const change = Effect.fnUntraced(
    function* (
      id: FileId,
      changes: { readonly name?: string; readonly tags?: Tags },
      conditions: Conditions.Conditions
    ) {
      const present = yield* find(id)
      yield* proceeds(conditions, metadataOf(present))
      if (changes.name === undefined && changes.tags === undefined) return present
      const next = new FileInfo({
        ...present,
        ...changes,
        modifiedAt: DateTime.max(present.modifiedAt, yield* DateTime.now),
        revision: present.revision + 1
      })
      const record = Option.getOrUndefined(yield* contents.record(id))
      const replaceRecord = yield* contents.prepareRecord({ ...record, info: next })
      yield* database.write(
        Effect.gen(function* () {
          yield* proceeds(
            conditions,
            Option.getOrUndefined(Option.map(Option.fromUndefinedOr(yield* index.find(id)), metadataOf))
          )
          yield* index.update(next, changes.tags !== undefined)
        })
      )
      yield* replaceRecord
      return next
    },
    Effect.scoped,
    Effect.uninterruptible
  )

  const update = Effect.fn("FileStoreLocal.update")(function* (
    id: FileId,
    changes: { readonly name?: string; readonly tags?: Tags },
    conditions: Conditions.Conditions
  ) {
    return yield* exclusively(id, change(id, changes, conditions))
  }, disk.writes("write"))

  const erase = Effect.fnUntraced(function* (id: FileId, conditions: Conditions.Conditions) {
    yield* proceeds(conditions, contentOf(yield* find(id)))
    yield* Effect.ignore(contents.mark(id), { log: "Warn" })
    yield* database
      .essential(index.remove(id))
      .pipe(Effect.onError(() => Effect.ignore(contents.unmark(id), { log: "Warn" })))
    yield* Effect.ignore(contents.erase(id), { log: "Error" })
  }, Effect.uninterruptible)

  const remove = Effect.fn("FileStoreLocal.remove")((id: FileId, conditions: Conditions.Conditions) =>
    exclusively(id, erase(id, conditions))
  )

  /** A file that is removed after it was found is not found; one that has lost its bytes is damaged. */
  const unlessRemoved = (info: FileInfo) => (damaged: ContentDamaged) =>
    Effect.andThen(find(info.id), Effect.fail(damaged))

  const worse = (one: HealthState, other: HealthState) =>
    [one, other].includes("unhealthy") ? "unhealthy" : [one, other].includes("degraded") ? "degraded" : "healthy"

  return FileStore.of({
    draft,
    stat,
    check: Effect.fn("FileStoreLocal.check")(function* (info) {
      yield* Effect.catchTag(responses.check(info), "ContentDamaged", unlessRemoved(info))
    }, disk.reads("read")),
    content: Effect.fn("FileStoreLocal.content")(function* (info, range) {
      const bytes = range ?? { first: 0, last: info.size - 1 }
      return yield* Effect.catchTag(responses.of(info, bytes), "ContentDamaged", unlessRemoved(info))
    }, disk.reads("read")),
    list: Effect.fn("FileStoreLocal.list")((selection) => database.read(list(selection))),
    update,
    remove,
    health: Effect.gen(function* () {
      const known = yield* database.probe(index.ping)
      const written = yield* disk.probe(contents.probe)
      return worse(known, written && (yield* health.outage) === undefined ? "healthy" : "degraded")
    }),
    usage: database.read(
      Effect.map(index.totals, ({ bytes, database }) => ({
        kind: "local disk and sqlite",
        location: directory,
        bytes: bytes + database
      }))
    )
  })
})

/**
 * Bytes on the local disk, what is known about them in SQLite and beside them. An upload that was acknowledged survives the end of
 * the process at any time, and the machine's; one that was cut off leaves nothing that can be seen, and nothing at all after the
 * next start. The start fails when another process has the directory.
 */
export const layer = (options: LocalOptions) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      yield* fs.makeDirectory(options.directory, { recursive: true })
      yield* FolderLock.acquire(options.directory)
      return Layer.effect(FileStore, make(options)).pipe(
        Layer.provide(FileIndex.layer(options.directory)),
        Layer.provide(SecureRandom.layerWebCrypto)
      )
    })
  )
