import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { layerPlatform } from "@opsbuddy/runtime/App"
import { none } from "@opsbuddy/runtime/Conditions"
import { Effect, FileSystem, Layer, PlatformError, References } from "effect"
import { FileStore } from "../src/FileStore.ts"
import * as FileStoreLocal from "../src/FileStoreLocal.ts"
import { conformance, read, store } from "./FileStore.conformance.ts"
import { onDisk, temporaryFolder } from "./folders.ts"

const local = (directory: string) => FileStoreLocal.layer({ directory }).pipe(Layer.provide(layerPlatform))

conformance(
  "the local disk",
  Layer.unwrap(Effect.map(temporaryFolder, (folder) => local(join(folder, "deep", "files"))))
)

/** A disk on which the call `number` of an operation fails; `undefined` before it is armed. */
const failingDisk = (arm: { operation: "write" | "sync" | "rename" | undefined; calls: number }) => {
  const error = PlatformError.systemError({
    _tag: "Unknown",
    module: "FileSystem",
    method: "test",
    description: "no space"
  })
  const failing = <A>(operation: typeof arm.operation, effect: Effect.Effect<A, PlatformError.PlatformError>) =>
    Effect.suspend(() => (arm.operation === operation && arm.calls-- <= 0 ? Effect.fail(error) : effect))
  return Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) =>
      FileSystem.make({
        ...fs,
        rename: (from, to) => failing("rename", fs.rename(from, to)),
        open: (path, options) =>
          Effect.map(fs.open(path, options), (file) => ({
            ...file,
            stat: file.stat,
            sync: failing("sync", file.sync),
            writeAll: (bytes) => failing("write", file.writeAll(bytes))
          }))
      })
    )
  )
}

describe("FileStoreLocal", () => {
  it.live("has all files again after a new start", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const stored = yield* Effect.provide(store(["a", "b"], { k: "v" }), local(directory))
      const [a] = stored
      assert.isDefined(a)
      yield* Effect.gen(function* () {
        const { items } = yield* (yield* FileStore).list({})
        assert.sameDeepMembers([...items], [...stored])
        assert.strictEqual(yield* read(a), "content of a")
      }).pipe(Effect.provide(local(directory)))
    })
  )

  it.live("refuses a directory that is in use, and takes it when it is free again", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      yield* Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(local(directory))))
        assert.strictEqual(error._tag, "FolderInUse")
        assert.strictEqual(error.message, `${directory} is in use by another process`)
      }).pipe(Effect.provide(local(directory)))
      yield* Effect.scoped(Layer.build(local(directory)))
    })
  )

  for (const [operation, calls] of [
    ["write", 1],
    ["sync", 0],
    ["sync", 2],
    ["rename", 1]
  ] as const) {
    it.live(`keeps nothing of an upload when ${operation} ${calls + 1} fails`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryFolder
        const arm: Parameters<typeof failingDisk>[0] = { operation: undefined, calls: 0 }
        const disk = Layer.provideMerge(failingDisk(arm), layerPlatform)
        yield* Effect.gen(function* () {
          arm.operation = operation
          arm.calls = calls
          const refusal = yield* Effect.flip(store(["a", "b"]))
          assert.deepInclude(refusal, { _tag: "StoreUnavailable", applied: "no" })
          assert.include(refusal.message, directory)
          arm.operation = undefined
          assert.deepStrictEqual(onDisk(directory), { incoming: [], contents: [] })
          assert.deepStrictEqual((yield* (yield* FileStore).list({})).items, [])
          yield* store(["a", "b"])
          assert.strictEqual(onDisk(directory).contents.length, 2)
        }).pipe(Effect.provide(FileStoreLocal.layer({ directory }).pipe(Layer.provide(disk))))
      }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
    )
  }

  it.live("says that a file is damaged, not that it is not found, when the disk has lost its bytes", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      yield* Effect.gen(function* () {
        const [info] = yield* store(["lost"])
        assert.isDefined(info)
        yield* (yield* FileSystem.FileSystem).remove(join(directory, "content", info.id.slice(-2), info.id))
        const problem = yield* Effect.flip(Effect.scoped((yield* FileStore).content(info)))
        assert.deepInclude(problem, { _tag: "ContentDamaged", id: info.id })
        yield* (yield* FileStore).remove(info.id, none)
        assert.deepStrictEqual(onDisk(directory), { incoming: [], contents: [] })
      }).pipe(Effect.provide(Layer.merge(local(directory), layerPlatform)))
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )
})
