import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import type { FileInfo } from "@opsbuddy/contract/Files"
import { layerPlatform } from "@opsbuddy/runtime/App"
import { none } from "@opsbuddy/runtime/Conditions"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Console, Effect, Layer, References, Schedule } from "effect"
import { FileStore } from "../src/FileStore.ts"
import * as FileStoreLocal from "../src/FileStoreLocal.ts"
import { reindex } from "../src/Reindex.ts"
import { read, store } from "./FileStore.conformance.ts"
import { onDisk, temporaryFolder, until } from "./folders.ts"

const fresh = Layer.fresh(layerPlatform)

/** One run of the service's store over the folder. */
const run = <A, E>(directory: string, effect: Effect.Effect<A, E, FileStore | StoreHealth>) =>
  Effect.provide(effect, FileStoreLocal.layer({ directory }).pipe(Layer.provideMerge(fresh)))

const rebuild = (directory: string) =>
  reindex(directory).pipe(
    Effect.provide(fresh),
    Effect.provideService(Console.Console, { ...globalThis.console, log: () => {}, error: () => {} })
  )

const messages = Effect.flatMap(StoreHealth, ({ notices }) =>
  Effect.map(notices, (all) => all.map(({ message }) => message))
)

/** Missing contents are looked for after the start. */
const reportsMissing = messages.pipe(
  Effect.filterOrFail((all) => all.some((message) => message.startsWith("the contents of 1 files are missing"))),
  Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: "10 seconds" })))
)

const listed = Effect.flatMap(FileStore, (files) => Effect.map(files.list({ limit: 1000 }), ({ items }) => items))

const contentOf = (directory: string, { id }: FileInfo) => join(directory, "content", id.slice(-2), id)

const lostAndFound = (directory: string) =>
  existsSync(join(directory, "lost+found")) ? readdirSync(join(directory, "lost+found")).sort() : []

const removeIndex = (directory: string) => {
  for (const name of readdirSync(directory)) if (name.startsWith("index.db")) rmSync(join(directory, name))
}

const removeNow = (file: string) => {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true })
}

const quiet = Effect.provideService(References.MinimumLogLevel, "None" as const)

const two = Effect.fnUntraced(function* (directory: string) {
  const infos = yield* run(directory, store(["a", "b"], { k: "v" }))
  const [a, b] = infos
  return a === undefined || b === undefined ? yield* Effect.die(new Error("not both were stored")) : ([a, b] as const)
})

/** Everything is as it was, and can be read. */
const isWhole = Effect.fnUntraced(function* (directory: string, infos: ReadonlyArray<FileInfo>) {
  yield* run(
    directory,
    Effect.gen(function* () {
      assert.sameDeepMembers([...(yield* listed)], [...infos])
      for (const info of infos) assert.strictEqual((yield* read(info)).slice(0, 10), "content of")
    })
  )
})

describe("A start of the file store", () => {
  it.live("moves contents to lost+found when the index is gone, and reindex takes all of them back", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const [a, b] = yield* two(directory)
      const changed = yield* run(
        directory,
        Effect.flatMap(FileStore, (files) => files.update(a.id, { name: "renamed", tags: { n: "1" } }, none))
      )
      removeIndex(directory)
      yield* run(
        directory,
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* listed, [])
          assert.deepStrictEqual(lostAndFound(directory), [a.id, `${a.id}.json`, b.id, `${b.id}.json`].sort())
          assert.isTrue(
            (yield* messages).some((message) => message.startsWith("2 contents that the index does not know"))
          )
          assert.strictEqual(yield* rebuild(directory), 1)
        })
      )
      assert.strictEqual(yield* rebuild(directory), 0)
      assert.deepStrictEqual(lostAndFound(directory), [])
      yield* isWhole(directory, [changed, b])
    }).pipe(quiet)
  )

  it.live("keeps what an older index does not know, and takes over newer metadata", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const [a, b] = yield* two(directory)
      const old = join(directory, "old.db")
      copyFileSync(join(directory, "index.db"), old)
      const changed = yield* run(
        directory,
        Effect.flatMap(FileStore, (files) => files.update(a.id, { tags: { n: "2" } }, none))
      )
      const [newer] = yield* run(directory, store(["newer"]))
      const removed = yield* run(
        directory,
        Effect.gen(function* () {
          yield* (yield* FileStore).remove(b.id, none)
        })
      )
      assert.isUndefined(removed)
      assert.isDefined(newer)
      for (const suffix of ["-wal", "-shm"]) rmSync(join(directory, `index.db${suffix}`), { force: true })
      copyFileSync(old, join(directory, "index.db"))
      yield* run(
        directory,
        Effect.gen(function* () {
          assert.deepStrictEqual(
            (yield* listed).find(({ id }) => id === a.id),
            changed
          )
          const all = yield* messages
          assert.isTrue(
            all.some((message) => message.includes("acknowledged commits are missing")),
            all.join("; ")
          )
          assert.isTrue(all.some((message) => message.includes("1 contents that the index does not know")))
          assert.isTrue(all.some((message) => message.includes("older metadata of 1 files")))
          // The older index still has the file that was removed since.
          yield* reportsMissing
        })
      )
      assert.strictEqual(yield* rebuild(directory), 0)
      yield* run(
        directory,
        Effect.gen(function* () {
          assert.include(
            (yield* listed).map(({ id }) => id),
            newer.id
          )
          assert.strictEqual(yield* read(newer), "content of newer")
        })
      )
    }).pipe(quiet)
  )

  it.live("sweeps an upload that was not acknowledged, and keeps what is somebody else's", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const [a, b] = yield* two(directory)
      // As if the process had ended before the rows were committed.
      const database = new DatabaseSync(join(directory, "index.db"))
      database.exec("PRAGMA foreign_keys = ON")
      database.exec(`DELETE FROM files WHERE id = '${a.id}'`)
      database.close()
      const incoming = join(directory, "incoming")
      writeFileSync(join(incoming, "7c8ab0a5-2a31-4bb3-a3a6-cf1dc2d0ed8e.upload"), `${a.id}\n../../index.db\n${b.id}`)
      writeFileSync(join(incoming, "7c8ab0a5-2a31-4bb3-a3a6-cf1dc2d0ed8f.part"), "half")
      writeFileSync(join(incoming, "7c8ab0a5-2a31-4bb3-a3a6-cf1dc2d0ed90"), "half, of version 0.1.0")
      writeFileSync(join(incoming, "notes.txt"), "somebody's")
      const orphan = "01900000-0000-7000-8000-0000000000ab"
      writeFileSync(join(directory, "content", "ab", orphan), "whole")
      writeFileSync(join(directory, "content", "ab", "notes.txt"), "somebody's")
      yield* isWhole(directory, [b])
      assert.deepStrictEqual(onDisk(directory), { incoming: ["notes.txt"], contents: [b.id, "notes.txt"] })
      assert.deepStrictEqual(lostAndFound(directory), [orphan])
      assert.isTrue(existsSync(join(directory, "index.db")))
      assert.strictEqual(yield* rebuild(directory), 0)
      assert.deepStrictEqual(lostAndFound(directory), [orphan])
      assert.strictEqual(readFileSync(join(directory, "lost+found", orphan), "utf8"), "whole")
    }).pipe(quiet)
  )

  it.live("ends a removal, also with an index that still has the file", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const [a, b] = yield* two(directory)
      const file = contentOf(directory, a)
      copyFileSync(`${file}.json`, `${file}.removed`)
      rmSync(`${file}.json`)
      yield* isWhole(directory, [b])
      assert.deepStrictEqual(onDisk(directory), { incoming: [], contents: [b.id] })
      assert.deepStrictEqual(lostAndFound(directory), [])
    }).pipe(quiet)
  )

  it.live("ends a change of metadata that was committed, and drops one that was not", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const [a, b] = yield* two(directory)
      const files = [a, b].map((info) => contentOf(directory, info))
      const before = files.map((file) => readFileSync(`${file}.json`, "utf8"))
      const [changed, other] = yield* run(
        directory,
        Effect.flatMap(FileStore, (store) =>
          Effect.forEach([a, b], ({ id }) => store.update(id, { tags: { n: "1" } }, none))
        )
      )
      assert.isDefined(changed)
      assert.isDefined(other)
      const [one = "", another = ""] = files.map((file) => readFileSync(`${file}.json`, "utf8"))
      writeFileSync(join(directory, "incoming", `${a.id}.2.json`), one)
      writeFileSync(`${files[0]}.json`, before[0] ?? "")
      const database = new DatabaseSync(join(directory, "index.db"))
      database.exec(`UPDATE files SET revision = 1 WHERE id = '${b.id}'`)
      database.close()
      writeFileSync(join(directory, "incoming", `${b.id}.2.json`), another)
      writeFileSync(`${files[1]}.json`, before[1] ?? "")
      yield* run(directory, listed)
      assert.strictEqual(readFileSync(`${files[0]}.json`, "utf8"), one)
      assert.strictEqual(readFileSync(`${files[1]}.json`, "utf8"), before[1])
      assert.deepStrictEqual(onDisk(directory).incoming, [])
    }).pipe(quiet)
  )

  it.live("reports contents that are missing, and lists their files", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const [a, b] = yield* two(directory)
      rmSync(contentOf(directory, a))
      yield* run(
        directory,
        Effect.gen(function* () {
          assert.sameDeepMembers([...(yield* listed)], [a, b])
          yield* reportsMissing
        })
      )
    }).pipe(quiet)
  )

  it.live("gives contents of version 0.1.0 their records, and reports damaged ones", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const [a, b] = yield* two(directory)
      const files = [a, b].map((info) => contentOf(directory, info))
      const [record] = files.map((file) => readFileSync(`${file}.json`, "utf8"))
      for (const file of files) rmSync(`${file}.json`)
      writeFileSync(files[1] ?? "", "damaged!!!")
      yield* run(
        directory,
        Effect.gen(function* () {
          const health = yield* StoreHealth
          let damaged = false
          yield* Effect.forkScoped(
            Effect.forever(
              Effect.gen(function* () {
                damaged = (yield* health.notices).some(({ message }) => message.includes(b.id))
                yield* Effect.sleep("10 millis")
              })
            )
          )
          yield* until(
            () => existsSync(`${files[0]}.json`) && readFileSync(`${files[0]}.json`, "utf8") === record && damaged
          )
        }).pipe(Effect.scoped)
      )
      // Now the index can be lost.
      removeIndex(directory)
      yield* run(directory, listed)
      assert.strictEqual(yield* rebuild(directory), 0)
      yield* run(
        directory,
        Effect.map(listed, (all) => assert.sameDeepMembers([...all], [a, b]))
      )
    }).pipe(quiet)
  )

  it.live("rebuilds an index that is no database", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const infos = yield* two(directory)
      removeIndex(directory)
      writeFileSync(join(directory, "index.db"), "no database".repeat(1000))
      assert.include((yield* Effect.flip(run(directory, listed))).message, "is damaged")
      assert.strictEqual(yield* rebuild(directory), 0)
      assert.isTrue(readdirSync(directory).some((name) => name.startsWith("index.db.damaged-")))
      yield* isWhole(directory, infos)
    }).pipe(quiet)
  )

  it.live("loses no content when a byte of the index's log has changed, and says that commits are missing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryFolder
      const file = join(directory, "index.db")
      const [a, b] = yield* run(
        directory,
        Effect.gen(function* () {
          const infos = yield* store(["a", "b"])
          // As a killed process leaves it; a process that ends by itself empties its log.
          for (const name of ["index.db", "index.db-wal", "index.db.commits"])
            copyFileSync(join(directory, name), join(directory, `${name}.copy`))
          return infos
        })
      )
      assert.isDefined(a)
      assert.isDefined(b)
      const wal = readFileSync(`${file}-wal.copy`)
      wal.writeUInt8(wal.readUInt8(32 + 24 + 100) ^ 1, 32 + 24 + 100)
      removeNow(file)
      writeFileSync(`${file}-wal`, wal)
      copyFileSync(`${file}.copy`, file)
      copyFileSync(`${file}.commits.copy`, `${file}.commits`)
      yield* run(
        directory,
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* listed, [])
          const all = yield* messages
          assert.isTrue(
            all.some((message) => message.includes("commits are missing")),
            all.join("; ")
          )
          assert.isTrue(all.some((message) => message.startsWith("2 contents that the index does not know")))
        })
      )
      assert.strictEqual(yield* rebuild(directory), 0)
      yield* isWhole(directory, [a, b])
    }).pipe(quiet)
  )
})
