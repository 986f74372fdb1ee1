import { createHash } from "node:crypto"
import type { FileId } from "@opsbuddy/contract/Files"
import { Effect, FileSystem, Path, Scope, Stream } from "effect"
import { SecureRandom } from "effect/crypto"

/** A file whose bytes are on disk and that nobody can see yet. `size` in bytes, `sha256` in lower-case hexadecimal. */
export interface Staged {
  readonly path: string
  readonly size: number
  readonly sha256: string
}

/** Contents are spread over folders by the last two digits of their id, which are random. */
const shards = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"))

/**
 * The bytes of files below `directory`: `incoming/` while they arrive, `content/<xx>/<id>` once whole. Making it removes
 * what an earlier process left in `incoming`.
 */
export const make = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const random = yield* SecureRandom.SecureRandom
  const incoming = path.join(directory, "incoming")
  const shardOf = (id: string) => path.join(directory, "content", id.slice(-2))
  const pathOf = (id: string) => path.join(shardOf(id), id)

  const syncFolder = (folder: string) =>
    Effect.scoped(Effect.flatMap(fs.open(folder, { flag: "r" }), (handle) => Effect.uninterruptible(handle.sync)))

  yield* fs.remove(incoming, { recursive: true, force: true })
  yield* fs.makeDirectory(incoming, { recursive: true })
  yield* Effect.forEach(shards, (shard) => fs.makeDirectory(shardOf(shard), { recursive: true }), { discard: true })
  yield* syncFolder(path.join(directory, "content"))
  yield* syncFolder(directory)

  /** A new name in `incoming`; what is there is removed when the scope closes. */
  const temporary = Effect.acquireRelease(
    Effect.map(random.uuidV4(), (name) => path.join(incoming, name)),
    (name) => Effect.ignore(fs.remove(name, { force: true }), { log: "Warn" })
  )

  const stage = Effect.fnUntraced(function* <E>(content: Stream.Stream<Uint8Array, E>, scope: Scope.Scope) {
    const temporaryPath = yield* Scope.provide(temporary, scope)
    const hash = createHash("sha256")
    let size = 0
    yield* Effect.scoped(
      Effect.gen(function* () {
        const file = yield* fs.open(temporaryPath, { flag: "wx" })
        yield* Stream.runForEach(content, (bytes) => {
          hash.update(bytes)
          size += bytes.length
          // An interruption must not close the file under a write: its number could be another file's by then.
          return Effect.uninterruptible(file.writeAll(bytes))
        })
        yield* Effect.uninterruptible(file.sync)
      })
    )
    return { path: temporaryPath, size, sha256: hash.digest("hex") } satisfies Staged
  })

  return {
    pathOf,
    /** Writes a stream to a temporary file and to the disk; the file goes when `scope` closes, unless it is published. */
    stage,
    /** Moves a staged file to its place, durably. */
    publish: (staged: Staged, id: FileId) =>
      Effect.andThen(fs.rename(staged.path, pathOf(id)), syncFolder(shardOf(id))),
    /** Removes the content if it is there. */
    remove: (id: string) => fs.remove(pathOf(id), { force: true }),
    /** The ids of all contents, a folder at a time. */
    ids: Stream.fromIterable(shards).pipe(Stream.mapEffect((shard) => fs.readDirectory(shardOf(shard)))),
    /** Fails when nothing can be written. */
    probe: Effect.scoped(Effect.flatMap(temporary, (name) => fs.writeFileString(name, "probe")))
  }
})

export type ContentFolder = Effect.Success<ReturnType<typeof make>>
