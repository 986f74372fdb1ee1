import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Effect, Fiber, Schedule, Stream } from "effect"
import { Columnar } from "../src/Columnar.ts"
import { ColumnarError } from "../src/ColumnarError.ts"
import * as Probe from "../src/Probe.ts"
import { layerOf, migrations } from "./store.ts"

/** A disk of this many MiB at a folder of its own, until the scope closes; `undefined` where mounting is not permitted. */
const disk = (mebibytes: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = mkdtempSync(join(tmpdir(), "columnar-disk-"))
      const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", directory])
      return { directory, mounted: status === 0 }
    }),
    ({ directory, mounted }) =>
      Effect.sync(() => {
        if (mounted) spawnSync("umount", [directory])
        rmSync(directory, { recursive: true, force: true })
      })
  ).pipe(Effect.map(({ directory, mounted }) => (mounted ? directory : undefined)))

const canMount = Effect.runSync(Effect.scoped(Effect.map(disk(1), (directory) => directory !== undefined)))
const required = process.env.OPSBUDDY_REQUIRE_PARTS === "1"

const batch = (number: number) =>
  Array.from({ length: 100 }, (_, row) => [number * 100 + row, `${number} ${"abcdefgh".repeat(20)} ${row}`])

/** Text that does not get smaller when it is compressed. */
const randomBatch = (number: number) =>
  Array.from({ length: 100 }, (_, row) => [number * 100 + row, randomBytes(500).toString("latin1")])

/** Takes what is left of the disk, to the last byte, or to a multiple of `unit`. */
const fill = (path: string, unit = 1) => {
  const file = openSync(path, "w")
  try {
    for (const bytes of [2 ** 20, 4096, 1].filter((bytes) => bytes >= unit)) {
      try {
        for (;;) writeSync(file, Buffer.alloc(bytes))
      } catch (cause) {
        if (!String(cause).includes("ENOSPC")) throw cause
      }
    }
  } finally {
    closeSync(file)
  }
}

const counts = (store: Columnar["Service"]) =>
  Effect.map(
    store.query<{ readonly batch: bigint; readonly n: bigint }>(
      "SELECT id // 100 AS batch, count(*) AS n FROM points GROUP BY batch ORDER BY batch"
    ),
    (rows) => rows.map((row) => [Number(row.batch), Number(row.n)])
  )

const whole = (batches: ReadonlyArray<number>) => batches.toSorted((a, b) => a - b).map((number) => [number, 100])

describe.skipIf(!canMount && !required)("Columnar on a full disk (skipped where tmpfs cannot be mounted)", () => {
  it.live("refuses what does not fit, reads on, and takes writes again by itself once there is room", () =>
    Effect.gen(function* () {
      const directory = yield* disk(12)
      if (directory === undefined) return assert.fail("tmpfs cannot be mounted")
      const filename = join(directory, "store.duckdb")
      const acknowledged: Array<number> = []
      const refused: Array<number> = []
      let next = 0
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        const health = yield* StoreHealth
        const probe = yield* Probe.make(filename)
        const write = Effect.suspend(() => {
          const number = next++
          return store
            .write((writer) => writer.append("points", batch(number)))
            .pipe(
              Effect.tap(() => Effect.sync(() => acknowledged.push(number))),
              Effect.tapError(() => Effect.sync(() => refused.push(number)))
            )
        })
        const untilFull = Effect.flip(Effect.forever(write))
        const ballast = join(directory, "ballast")
        writeFileSync(ballast, Buffer.alloc(8 * 2 ** 20))
        for (const left of [5, 2, 0]) {
          const error: ColumnarError = yield* untilFull
          assert.strictEqual(error.reason, "full")
          assert.strictEqual(error.applied, "no")
          // Many at once fail at once.
          const exits = yield* Effect.forEach(Array.from({ length: 64 }), () => Effect.exit(write), {
            concurrency: "unbounded"
          })
          assert.isAbove(exits.filter((exit) => exit._tag === "Failure").length, 32)
          assert.strictEqual((yield* health.outage)?.reason, "the disk that the database is on is full")
          assert.strictEqual(yield* probe.database, "healthy")
          assert.isDefined(yield* health.outage, "a probe on the full disk has ended the outage")
          assert.deepStrictEqual(yield* counts(store), whole(acknowledged))
          truncateSync(ballast, left * 2 ** 20)
          yield* probe.database
          assert.isUndefined(yield* health.outage, "the probe has not ended the outage")
          yield* write
          assert.deepStrictEqual(yield* counts(store), whole(acknowledged))
        }
      }).pipe(Effect.provide(layerOf({ filename, migrations })))
      // The last close could not checkpoint, or has: either way nothing is lost.
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        assert.deepStrictEqual(yield* counts(store), whole(acknowledged))
        assert.deepStrictEqual(yield* store.notices, [])
      }).pipe(Effect.provide(layerOf({ filename, migrations })))
      assert.isAbove(refused.length, 90)
    }).pipe(Effect.scoped)
  )

  it.live("acknowledges a commit that is on disk although the engine failed in it", () =>
    Effect.gen(function* () {
      const directory = yield* disk(16)
      if (directory === undefined) return assert.fail("tmpfs cannot be mounted")
      const filename = join(directory, "store.duckdb")
      const ballast = join(directory, "ballast")
      const acknowledged: Array<number> = []
      const refused: Array<ColumnarError> = []
      let committed = 0
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        writeFileSync(ballast, Buffer.alloc(8 * 2 ** 20))
        const write = (number: number) =>
          store
            .write((writer) => {
              writer.afterCommit(() => committed++)
              return writer.append("points", randomBatch(number))
            })
            .pipe(
              Effect.tap(() => Effect.sync(() => acknowledged.push(number))),
              Effect.tapError((error) => Effect.sync(() => refused.push(error))),
              Effect.exit
            )
        // The engine checkpoints in the commit that passes 4 MiB, for which there is no room, and refuses all from then on.
        for (let number = 0; number < 120; number++) {
          yield* write(number)
          const found = yield* Effect.retry(counts(store), Schedule.spaced("20 millis"))
          assert.deepStrictEqual(found, whole(acknowledged))
        }
        assert.strictEqual(committed, acknowledged.length)
        assert.isAbove(acknowledged.length, 50)
        assert.isAbove(refused.length, 0)
        assert.isTrue(refused.every((error) => error.applied === "no"))
      }).pipe(Effect.provide(layerOf({ filename, migrations, checkpointInCommit: "4MiB" })))
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(yield* counts(yield* Columnar), whole(acknowledged))
      }).pipe(Effect.provide(layerOf({ filename, migrations })))
    }).pipe(Effect.scoped)
  )

  it.live(
    "keeps what it acknowledged and nothing else while the disk fills and empties under many readers and writers",
    () =>
      Effect.gen(function* () {
        const directory = yield* disk(24)
        if (directory === undefined) return assert.fail("tmpfs cannot be mounted")
        const filename = join(directory, "store.duckdb")
        const ballast = join(directory, "ballast")
        const acknowledged: Array<number> = []
        const errors: Array<ColumnarError> = []
        let committed = 0
        let next = 0
        let isOver = false
        yield* Effect.gen(function* () {
          const store = yield* Columnar
          const write = Effect.suspend(() => {
            const number = next++
            return store
              .write((writer) => {
                writer.afterCommit(() => committed++)
                return writer.append("points", randomBatch(number))
              })
              .pipe(
                Effect.tap(() => Effect.sync(() => acknowledged.push(number))),
                Effect.catch((error) => Effect.sync(() => errors.push(error))),
                // Not as fast as it can, and some room for a while: what is deleted can be written over.
                Effect.andThen(
                  store.write((writer) => writer.run("DELETE FROM points WHERE id < $1", [(number - 40) * 100]))
                ),
                Effect.catch((error) => Effect.sync(() => errors.push(error))),
                Effect.andThen(Effect.sleep("5 millis"))
              )
          })
          const read = Stream.runDrain(store.streamChunks("SELECT * FROM points ORDER BY id")).pipe(
            Effect.catch((error) => Effect.sync(() => assert.include(["unavailable", "full", "memory"], error.reason)))
          )
          const loops = [...Array.from({ length: 8 }, () => write), ...Array.from({ length: 3 }, () => read)]
          const fibers = yield* Effect.forEach(loops, (step) =>
            Effect.forkChild(Effect.whileLoop({ while: () => !isOver, body: () => step, step: () => {} }))
          )
          for (let round = 0; round < 8; round++) {
            fill(ballast, 2 ** 20)
            yield* Effect.sleep("1 second")
            rmSync(ballast)
            yield* Effect.sleep("300 millis")
          }
          isOver = true
          yield* Fiber.joinAll(fibers)
          assert.strictEqual(errors.filter((error) => error.applied !== "no").length, 0)
          const stored = yield* Effect.retry(counts(store), Schedule.spaced("20 millis"))
          const kept = new Set(stored.map(([number]) => number))
          assert.deepStrictEqual(stored, whole([...kept].map(Number)))
          assert.deepStrictEqual(
            [...kept].filter((number) => !acknowledged.includes(Number(number))),
            []
          )
          const latest = acknowledged.filter((number) => number >= next - 40)
          assert.deepStrictEqual(
            latest.filter((number) => !kept.has(number)),
            []
          )
          assert.isAtLeast(committed, acknowledged.length)
          assert.deepStrictEqual(yield* store.notices, [])
          assert.isTrue(
            errors.some((error) => error.reason === "unavailable"),
            "the engine has never failed"
          )
          assert.isTrue(errors.some((error) => error.reason === "full"))
        }).pipe(Effect.provide(layerOf({ filename, migrations, memoryLimit: "64 MiB", checkpointInCommit: "3MiB" })))
      }).pipe(Effect.scoped)
  )

  it.live("starts without a free byte, and reads", () =>
    Effect.gen(function* () {
      const directory = yield* disk(12)
      if (directory === undefined) return assert.fail("tmpfs cannot be mounted")
      const filename = join(directory, "store.duckdb")
      const acknowledged: Array<number> = []
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        const write = Effect.suspend(() => {
          const number = acknowledged.length
          return Effect.tap(
            store.write((writer) => writer.append("points", randomBatch(number))),
            () => Effect.sync(() => acknowledged.push(number))
          )
        })
        yield* Effect.flip(Effect.forever(write))
        fill(join(directory, "ballast"))
      }).pipe(Effect.provide(layerOf({ filename, migrations })))
      fill(join(directory, "more"))
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        assert.deepStrictEqual(yield* counts(store), whole(acknowledged))
        assert.deepStrictEqual(yield* store.notices, [])
        const error = yield* Effect.flip(store.write((writer) => writer.append("points", randomBatch(1000))))
        assert.strictEqual(error.reason, "full")
        rmSync(join(directory, "ballast"), { force: true })
        rmSync(join(directory, "more"), { force: true })
      }).pipe(Effect.provide(layerOf({ filename, migrations })))
    }).pipe(Effect.scoped)
  )

  it.live("says so where there is no room to make the file, and makes it later", () =>
    Effect.gen(function* () {
      const directory = yield* disk(1)
      if (directory === undefined) return assert.fail("tmpfs cannot be mounted")
      const ballast = join(directory, "ballast")
      const filename = join(directory, "store.duckdb")
      const layer = layerOf({ filename, migrations })
      for (const left of [0, 4096, 8192]) {
        fill(ballast)
        truncateSync(ballast, 2 ** 20 - left)
        const error = yield* Effect.flip(Effect.provide(Effect.void, layer))
        assert.strictEqual(error.reason, "full", error.message)
        rmSync(ballast)
      }
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        yield* store.write((writer) => writer.append("points", batch(1)))
        assert.deepStrictEqual(yield* counts(store), [[1, 100]])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped)
  )

  it.live("loses nothing and reopens by itself when a checkpoint finds the disk full", () =>
    Effect.gen(function* () {
      const directory = yield* disk(24)
      if (directory === undefined) return assert.fail("tmpfs cannot be mounted")
      const filename = join(directory, "store.duckdb")
      const acknowledged: Array<number> = []
      const ballast = join(directory, "ballast")
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        const health = yield* StoreHealth
        let committed = 0
        const write = (number: number) =>
          store
            .write((writer) => {
              writer.afterCommit(() => committed++)
              return writer.append("points", randomBatch(number))
            })
            .pipe(
              Effect.tap(() => Effect.sync(() => acknowledged.push(number))),
              Effect.exit
            )
        writeFileSync(ballast, Buffer.alloc(9 * 2 ** 20))
        const noticed = Effect.map(health.notices, (notices) =>
          notices.some(({ message }) => message.endsWith("cannot be moved into the file: the disk is full"))
        )
        const pull = yield* Stream.toPull(store.streamChunks("SELECT range FROM range(10000000)"))
        yield* pull
        let number = 0
        while (!(yield* noticed) && number < 500) yield* write(number++)
        assert.isTrue(yield* noticed, "no checkpoint failed")
        // Once it is open again, all that was acknowledged is there and nothing else.
        const found = yield* Effect.retry(counts(store), Schedule.spaced("20 millis"))
        assert.deepStrictEqual(found, whole(acknowledged))
        assert.strictEqual(committed, acknowledged.length)
        // What was being read from the engine that failed does not end as if it were whole.
        const cut = yield* Effect.flip(Effect.scoped(Effect.forever(pull)))
        assert.isTrue(cut instanceof ColumnarError && cut.reason === "unavailable")
        rmSync(ballast)
        for (let more = 0; more < 10; more++) yield* write(number++)
        assert.deepStrictEqual(yield* counts(store), whole(acknowledged))
        assert.strictEqual((yield* store.notices).length, 0)
      }).pipe(Effect.scoped, Effect.provide(layerOf({ filename, migrations, memoryLimit: "24 MiB" })))
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(yield* counts(yield* Columnar), whole(acknowledged))
      }).pipe(Effect.provide(layerOf({ filename, migrations })))
    }).pipe(Effect.scoped)
  )
})
