import { copyFileSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Effect } from "effect"
import { Columnar } from "../src/Columnar.ts"
import { killedWith, layerOf, migrations, temporaryFile } from "./store.ts"

/** Rows of the store, its notices, and what `StoreHealth` has. */
const look = (filename: string) =>
  Effect.gen(function* () {
    const store = yield* Columnar
    const health = yield* StoreHealth
    const rows = yield* store.query<{ readonly n: bigint }>("SELECT count(*) AS n FROM points")
    assert.deepStrictEqual(
      (yield* health.notices).map(({ message }) => message),
      yield* store.notices
    )
    return { rows: Number(rows[0]?.n), notices: yield* store.notices }
  }).pipe(Effect.provide(layerOf({ filename, migrations })))

/** A store whose process was killed, with commits in its log of one row each, and how many of them were acknowledged. */
const killed = Effect.gen(function* () {
  const filename = yield* temporaryFile
  const acknowledged = yield* killedWith(filename, 200)
  return { filename, acknowledged, log: `${filename}.wal` }
})

const missing = (notices: ReadonlyArray<string>) =>
  notices.flatMap((notice) => {
    const count = /^(\d+) acknowledged commits are missing/.exec(notice)?.[1]
    return count === undefined ? [] : [Number(count)]
  })

describe("Columnar with a damaged file", () => {
  it.live("raises no alarm after a kill", () =>
    Effect.gen(function* () {
      for (let kill = 0; kill < 5; kill++) {
        const { acknowledged, filename } = yield* killed
        const { notices, rows } = yield* look(filename)
        assert.isAtLeast(rows, acknowledged)
        assert.deepStrictEqual(notices, [])
      }
    }).pipe(Effect.scoped)
  )

  it.live("reports how many commits a log has lost that was cut, once", () =>
    Effect.gen(function* () {
      const { filename, log } = yield* killed
      const copy = `${filename}.copy`
      copyFileSync(filename, copy)
      copyFileSync(log, `${copy}.wal`)
      truncateSync(log, Math.floor(statSync(log).size / 2))
      const whole = yield* look(copy)
      const { notices, rows } = yield* look(filename)
      // The kill may have come between a commit and its mark.
      const [count = 0] = missing(notices)
      assert.isAbove(rows, 0)
      assert.isTrue(count === whole.rows - rows || count === whole.rows - rows - 1, `${count} of ${whole.rows - rows}`)
      assert.deepStrictEqual((yield* look(filename)).notices, [])
    }).pipe(Effect.scoped)
  )

  it.live("keeps what is before damaged bytes, says what is missing, and keeps a copy of the log", () =>
    Effect.gen(function* () {
      const { filename, log } = yield* killed
      const bytes = readFileSync(log)
      const middle = bytes.length >> 1
      for (let at = middle; at < middle + 4; at++) bytes[at] = (bytes[at] ?? 0) ^ 0xff
      writeFileSync(log, bytes)
      const { notices, rows } = yield* look(filename)
      assert.isAbove(rows, 0)
      assert.match(notices[0] ?? "", /^the database log was damaged at byte \d+ of \d+/)
      assert.isAbove(missing(notices)[0] ?? 0, 0)
      const copies = readdirSync(dirname(filename)).filter((name) => name.includes(".wal.damaged-"))
      assert.lengthOf(copies, 1)
      assert.deepStrictEqual((yield* look(filename)).notices, [])
    }).pipe(Effect.scoped)
  )

  it.live("keeps a log that has lost its file, and says what is missing", () =>
    Effect.gen(function* () {
      const { acknowledged, filename } = yield* killed
      rmSync(filename)
      const { notices, rows } = yield* look(filename)
      assert.strictEqual(rows, 0)
      assert.isAtLeast(missing(notices)[0] ?? 0, acknowledged)
      assert.lengthOf(
        readdirSync(dirname(filename)).filter((name) => name.includes(".wal.orphaned-")),
        1
      )
    }).pipe(Effect.scoped)
  )

  it.live("reports what an older copy does not have, and a file that was removed", () =>
    Effect.gen(function* () {
      const { filename } = yield* killed
      const before = yield* look(filename)
      const copy = `${filename}.older`
      copyFileSync(filename, copy)
      const acknowledged = yield* killedWith(filename, 50)
      rmSync(`${filename}.wal`)
      copyFileSync(copy, filename)
      const older = yield* look(filename)
      assert.strictEqual(older.rows, before.rows)
      assert.isAtLeast(missing(older.notices)[0] ?? 0, acknowledged)
      rmSync(filename)
      const fresh = yield* look(filename)
      assert.strictEqual(fresh.rows, 0)
      // With the one of the migration.
      assert.isAtLeast(missing(fresh.notices)[0] ?? 0, before.rows)
    }).pipe(Effect.scoped)
  )
})
