import type { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Clock, Duration, Effect } from "effect"
import type { ColumnarError } from "./ColumnarError.ts"
import * as Commits from "./Commits.ts"
import { type Connection, run } from "./Connection.ts"
import type { Engine } from "./Engine.ts"
import * as EngineErrors from "./EngineErrors.ts"
import * as Instance from "./Instance.ts"
import { blockBytes } from "./Settings.ts"

/** A log beyond this is moved into the file. */
const maxLogBytes = 64 * 2 ** 20

/** So much of the memory limit may be held by what is not in the file yet. */
const maxMemoryShare = 0.4

/** After a checkpoint that freed little, the next one waits for so many times as long as it took. */
const restFactor = 9

/** What a table holds at least from the second append after a checkpoint on: one block of the engine's temporary memory. */
const bytesOfTable = 256 * 2 ** 10

/** What a column holds at least: a block each for its values and for which of them are missing. */
const bytesOfColumn = 2 * blockBytes

/** After so many statements and appends, or so long, the log is looked at. */
const sampleChanges = 64
const sampleNanos = 1_000_000_000n

const firstPause = 1_000_000_000n
const maxPause = 60_000_000_000n

/** What a transaction did: how many columns the tables have that it appended to, and how many statements it ran. */
export interface Changes {
  readonly appended: ReadonlyMap<string, number>
  readonly statements: number
}

export interface Checkpoints {
  /** To be asked after each commit: whether it is time for `runIfDue`. An idle store has no commits, so it does nothing. */
  isTime(changes: Changes): Effect.Effect<boolean>
  runIfDue(writer: Connection): Effect.Effect<void, ColumnarError>
  /** Moves the log into the file. Fails where the engine does, which is then opened anew; a full disk is no failure. */
  run(writer: Connection): Effect.Effect<void, ColumnarError>
}

/** Decides about checkpoints by what they free: the log on disk, and the memory of what is not in the file yet. */
export const make = (engine: Engine, health: StoreHealth["Service"]): Checkpoints => {
  const { source } = engine
  const { filename } = source
  let changed = 0
  let statements = 0
  const tables = new Map<string, number>()
  let sampled = 0n
  let notBefore = 0n
  let pause = firstPause
  let blocked = false

  const failed = Effect.fnUntraced(function* (reason: string) {
    notBefore = (yield* Clock.monotonicTimeNanos) + pause
    pause = pause * 2n > maxPause ? maxPause : pause * 2n
    if (blocked) return
    blocked = true
    yield* health.notice(`the log of ${filename} cannot be moved into the file: ${reason}`, { filename })
  })

  const checkpoint = Effect.fnUntraced(function* (writer: Connection) {
    if (Instance.isInMemory(source)) return
    if (!(yield* Instance.hasRoom(source))) return yield* failed("the disk has too little room")
    const before = yield* heldMemory(writer)
    const started = yield* Clock.monotonicTimeNanos
    yield* Effect.ignore(Commits.trim(writer, engine.latest()))
    yield* Effect.tapError(run(writer, "CHECKPOINT"), (error) =>
      failed(EngineErrors.isFull(EngineErrors.text(error.cause)) ? "the disk is full" : error.message)
    )
    yield* engine.limit
    const after = yield* heldMemory(writer)
    tables.clear()
    statements = 0
    const ended = yield* Clock.monotonicTimeNanos
    const taken = ended - started
    const isWorthwhile = before - after > (source.memoryLimit * maxMemoryShare) / 2
    notBefore = isWorthwhile ? ended : ended + taken * BigInt(restFactor)
    pause = firstPause
    if (blocked) yield* Effect.logInfo("database checkpoints again", { filename })
    blocked = false
    yield* Effect.logDebug("database checkpointed", {
      filename,
      duration: Duration.format(Duration.millis(Number(taken / 1_000_000n)))
    })
  })

  /** What has been touched since the last checkpoint holds about so much; a statement is taken for a table. */
  const touchedBytes = (logBytes: number) => {
    let bytes = statements * bytesOfTable + 2 * logBytes
    for (const columns of tables.values()) bytes += bytesOfTable + columns * bytesOfColumn
    return bytes
  }

  /** The engine tells what it holds, but not how much of that are blocks of the file, which it can drop at any time. */
  const isDue = Effect.fnUntraced(function* (writer: Connection) {
    const logBytes = yield* Effect.promise(() => Instance.bytesOfLog(source))
    if (logBytes > maxLogBytes) return true
    const most = source.memoryLimit * maxMemoryShare
    return touchedBytes(logBytes) > most && (yield* heldMemory(writer)) > most
  })

  return {
    isTime: (changes) =>
      Effect.map(Clock.monotonicTimeNanos, (now) => {
        for (const [table, columns] of changes.appended) tables.set(table, columns)
        statements += changes.statements
        changed += changes.statements + changes.appended.size
        if ((changed < sampleChanges && now - sampled < sampleNanos) || now < notBefore) return false
        changed = 0
        sampled = now
        return !Instance.isInMemory(source)
      }),
    runIfDue: (writer) => Effect.flatMap(isDue(writer), (due) => (due ? checkpoint(writer) : Effect.void)),
    run: checkpoint
  }
}

/** Bytes of tables that the engine holds: what is not in the file yet, and blocks of it that were read. */
const heldMemory = (writer: Connection) =>
  writer.call(async () => {
    const result = await writer.native.run(
      "SELECT sum(memory_usage_bytes)::DOUBLE FROM duckdb_memory() WHERE tag IN ('BASE_TABLE', 'IN_MEMORY_TABLE')"
    )
    return Number((await result.getRowsJS())[0]?.[0] ?? 0)
  })
