import type { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Clock, Duration, Effect } from "effect"
import type { ColumnarError } from "./ColumnarError.ts"
import * as Commits from "./Commits.ts"
import { type Connection, run } from "./Connection.ts"
import type { Engine } from "./Engine.ts"
import * as EngineErrors from "./EngineErrors.ts"
import * as Instance from "./Instance.ts"

/** A log beyond this is moved into the file. */
const maxLogBytes = 64 * 2 ** 20

/** So much of the memory limit may be held by what is not in the file yet. */
const maxMemoryShare = 0.4

/** A checkpoint takes at most so much of the time, however little it frees. */
const maxTimeShare = 0.1

/** What may have changed so little since the last sample that none is taken. */
const sampleCommits = 16
const sampleNanos = 1_000_000_000n

const firstPause = 1_000_000_000n
const maxPause = 60_000_000_000n

export interface Checkpoints {
  /** To be asked after each commit: whether it is time for `runIfDue`. An idle store has no commits, so it does nothing. */
  readonly isTime: Effect.Effect<boolean>
  runIfDue(writer: Connection): Effect.Effect<void, ColumnarError>
  /** Moves the log into the file. Fails where the engine does, which is then opened anew; a full disk is no failure. */
  run(writer: Connection): Effect.Effect<void, ColumnarError>
}

/** Decides about checkpoints by what they free: the log on disk, and the memory of what is not in the file yet. */
export const make = (engine: Engine, health: StoreHealth["Service"]): Checkpoints => {
  const { source } = engine
  const { filename } = source
  let commits = 0
  let sampled = 0n
  let notBefore = 0n
  let pause = firstPause
  /** Held after the last checkpoint: what it could not free, such as blocks that were read. */
  let remaining = 0
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
    const started = yield* Clock.monotonicTimeNanos
    yield* Effect.ignore(Commits.trim(writer, engine.latest()))
    yield* Effect.tapError(run(writer, "CHECKPOINT"), (error) =>
      failed(EngineErrors.isFull(EngineErrors.text(error.cause)) ? "the disk is full" : error.message)
    )
    remaining = yield* heldMemory(writer)
    const ended = yield* Clock.monotonicTimeNanos
    const taken = ended - started
    notBefore = ended + BigInt(Math.round(Number(taken) / maxTimeShare))
    pause = firstPause
    if (blocked) yield* Effect.logInfo("database checkpoints again", { filename })
    blocked = false
    yield* Effect.logDebug("database checkpointed", {
      filename,
      duration: Duration.format(Duration.millis(Number(taken / 1_000_000n)))
    })
  })

  const isDue = Effect.fnUntraced(function* (writer: Connection) {
    if ((yield* Effect.promise(() => Instance.bytesOfLog(source))) > maxLogBytes) return true
    return (yield* heldMemory(writer)) - remaining > source.memoryLimit * maxMemoryShare
  })

  return {
    isTime: Effect.map(Clock.monotonicTimeNanos, (now) => {
      commits++
      if ((commits < sampleCommits && now - sampled < sampleNanos) || now < notBefore) return false
      commits = 0
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
