import { resolve } from "node:path"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import {
  ByteSize,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberSet,
  Schedule,
  type Scope,
  Semaphore
} from "effect"
import { claim } from "./Claim.ts"
import type { ColumnarError } from "./ColumnarError.ts"
import * as CommitMark from "./CommitMark.ts"
import * as Commits from "./Commits.ts"
import { Connection } from "./Connection.ts"
import * as EngineErrors from "./EngineErrors.ts"
import * as Instance from "./Instance.ts"

export interface Options {
  /** The database's file, whose folder is made when missing, or `:memory:`. */
  readonly filename: string
  /** What the engine may hold in memory before it spills to disk. Default 256 MiB. */
  readonly memoryLimit?: ByteSize.Input
  /** The name of the variable that sets `memoryLimit`, for messages. */
  readonly memorySetting?: string
  /** Threads of the engine, for all its work together. Default 2. */
  readonly threads?: number
  /**
   * How large the log is when the engine checkpoints by itself within a commit, such as `1MiB`. Never, unless a test needs a COMMIT
   * that fails after its transaction is in the log.
   */
  readonly checkpointInCommit?: string
}

/** How a COMMIT ended that the engine failed in. */
export type Resolution = "committed" | "rolled back"

/** A transaction whose COMMIT failed together with the engine; known again once the file has been opened anew. */
export interface Pending {
  readonly number: number
  /** Runs when the transaction turns out to be committed, before anything can read. */
  readonly committed: () => void
  readonly resolution: Deferred.Deferred<Resolution, ColumnarError>
}

interface Open {
  readonly _tag: "open"
  readonly opened: Instance.Opened
  readonly writer: Connection
}

type Phase =
  | Open
  /** `error` is what whoever asks meanwhile fails with. */
  | { readonly _tag: "reopening"; readonly error: ColumnarError }
  | { readonly _tag: "closed" }

/** The open file and its connections. It survives the engine: after a fatal error everything of it is closed and opened anew. */
export interface Engine {
  readonly source: Instance.Source
  /** A connection for one statement that reads; closed with the scope, or when the engine is opened anew. */
  readonly connect: Effect.Effect<Connection, ColumnarError, Scope.Scope>
  /** Runs `use` with the connection that writes, which no one else has meanwhile. Uninterruptible. */
  withWriter<A, E>(use: (writer: Connection) => Effect.Effect<A, E>): Effect.Effect<A, E | ColumnarError>
  /** The number of the latest commit. */
  readonly latest: () => number
  /** Whether the table of commits exists; it does not while the disk was too full to make it. */
  readonly hasCommits: () => boolean
  /** A transaction with this number is on disk. */
  readonly acknowledge: (number: number) => void
  /** Leaves a transaction to the next opening, after a fatal error in its COMMIT. To be called within `withWriter`. */
  readonly defer: (pending: Pending, cause: unknown) => void
  /** To be called after a checkpoint: lowers the memory limit where replaying the log needed more. */
  readonly limit: Effect.Effect<void>
  /** What was found wrong with the file, a sentence each, oldest first. */
  readonly notices: () => ReadonlyArray<string>
  /** Fails while the file is being opened anew, and when the store is closed. */
  readonly available: Effect.Effect<void, ColumnarError>
  /** Fails with `full` where the disk has room for a few bytes only, which a small write would still find. */
  readonly roomForWrites: Effect.Effect<void, ColumnarError>
  readonly size: Effect.Effect<number, ColumnarError>
}

/** Opens the file for this process alone. With the scope the log is moved into the file, and the file is closed. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Engine, ColumnarError, Scope.Scope | StoreHealth> {
  const health = yield* StoreHealth
  const source: Instance.Source = {
    filename: options.filename === ":memory:" ? options.filename : resolve(options.filename),
    memoryLimit: bytesOf(options),
    memorySetting: options.memorySetting,
    threads: options.threads ?? 2,
    checkpointInCommit: options.checkpointInCommit
  }
  const { filename } = source
  const inMemory = Instance.isInMemory(source)
  if (!inMemory) yield* claim(filename)

  const turn = Semaphore.makeUnsafe(1)
  const readers = new Set<Promise<Connection>>()
  const notices: Array<string> = []
  let phase: Phase = { _tag: "closed" }
  let pending: Pending | undefined
  let latest = 0
  let hasCommits = false
  let isLimited = false
  let reopening: Fiber.Fiber<void> | undefined
  const run = yield* FiberSet.makeRuntime<never, void>()

  const mark = inMemory
    ? undefined
    : CommitMark.open(`${filename}.commits`, (cause) =>
        run(Effect.logWarning("mark of commits not written", { filename, error: EngineErrors.text(cause) }))
      )
  yield* Effect.addFinalizer(() => Effect.sync(() => mark?.close()))

  const notice = (message: string) =>
    Effect.andThen(
      Effect.sync(() => notices.push(message)),
      health.notice(message, { filename })
    )

  /** The engine that is `opened` refuses everything from now on. */
  const failed = (opened: Instance.Opened, cause: unknown): void => {
    if (phase._tag !== "open" || phase.opened !== opened) return
    const old = phase
    phase = {
      _tag: "reopening",
      error: EngineErrors.failed(filename, cause)
    }
    reopening = run(turn.withPermit(reopen(old, cause)))
  }

  /** `least` is the number of the latest commit that was acknowledged, as far as it is known. */
  const start = Effect.fnUntraced(function* (
    least: number,
    checkpoint: boolean
  ): Effect.fn.Return<Open, ColumnarError> {
    const opened = yield* Instance.open(source, { checkpoint })
    const writer = new Connection(opened.writer, source, (cause) => failed(opened, cause))
    const found = yield* Commits.read(writer).pipe(Effect.onError(() => Effect.sync(() => Instance.close(opened))))
    for (const message of opened.notices) yield* notice(message)
    if (found.number < least) {
      yield* notice(
        `${least - found.number} acknowledged commits are missing from ${filename}: it ends with commit ${found.number}, the latest was ${least}`
      )
    }
    latest = found.number
    hasCommits = found.exists
    isLimited = opened.isLimited
    mark?.write(latest)
    return { _tag: "open", opened, writer }
  })

  const reopen = Effect.fnUntraced(function* (old: Open, cause: unknown): Effect.fn.Return<void> {
    const started = yield* Clock.monotonicTimeNanos
    yield* Effect.logError("database failed and is reopened", { filename, error: EngineErrors.text(cause) })
    yield* Effect.promise(async () => {
      await closeAll(readers)
      await old.writer.close()
    })
    yield* Effect.sync(() => old.opened.instance.closeSync())
    const least = latest
    let reported = ""
    yield* released.pipe(
      Effect.andThen(start(least, false)),
      Effect.map(resume),
      // Otherwise a file that has just been opened would be forgotten when the store closes.
      Effect.uninterruptible,
      Effect.tapError((error) =>
        Effect.suspend(() => {
          if (phase._tag === "reopening") phase = { _tag: "reopening", error: notReopened(error) }
          if (error.message === reported) return Effect.void
          reported = error.message
          return Effect.logError("database not reopened yet", { filename, error: error.message })
        })
      ),
      Effect.retry(backoff),
      Effect.orDie
    )
    const now = yield* Clock.monotonicTimeNanos
    yield* Effect.logInfo("database reopened", {
      filename,
      commit: latest,
      duration: Duration.format(Duration.millis(Number((now - started) / 1_000_000n)))
    })
  })

  /** The file tells how the transaction ended that the engine failed in; only then others see what it has. */
  const resume = (next: Open) => {
    if (pending !== undefined) {
      const { committed, number, resolution } = pending
      pending = undefined
      const isCommitted = latest >= number
      if (isCommitted) committed()
      Deferred.doneUnsafe(resolution, Exit.succeed(isCommitted ? "committed" : "rolled back"))
    }
    phase = next
  }

  /** Whoever asks meanwhile gets a reason that says that it may succeed later; what exactly failed is for the log. */
  const notReopened = (error: ColumnarError) =>
    error.reason === "full"
      ? error
      : EngineErrors.unavailable(filename, "the database has failed and cannot be opened again yet", error)

  const released = Effect.flatMap(
    Effect.promise(() => (inMemory ? Promise.resolve(false) : Instance.isHeld(source))),
    (held) =>
      held ? Effect.fail(EngineErrors.unavailable(filename, "the failed database still holds its file")) : Effect.void
  )

  const current = Effect.suspend((): Effect.Effect<Open, ColumnarError> => {
    switch (phase._tag) {
      case "open":
        return Effect.succeed(phase)
      case "reopening":
        return Effect.fail(phase.error)
      case "closed":
        return Effect.fail(EngineErrors.closed(filename))
    }
  })

  const connect = Effect.gen(function* () {
    const { opened } = yield* current
    const reader = opened.instance
      .connect()
      .then((connection) => new Connection(connection, source, (cause) => failed(opened, cause)))
    // Also while it is being made: the file must not be opened again before it is closed.
    readers.add(reader)
    yield* Effect.addFinalizer(() =>
      Effect.promise(async () => {
        await closeAll([reader])
        readers.delete(reader)
      })
    )
    return yield* Effect.tryPromise({
      try: () => reader,
      catch: (cause) => {
        if (EngineErrors.isFatal(cause)) failed(opened, cause)
        return phase._tag === "closed"
          ? EngineErrors.closed(filename)
          : EngineErrors.unavailable(filename, EngineErrors.text(cause), cause)
      }
    })
  })

  phase = yield* start(mark?.found ?? 0, true)

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      if (reopening !== undefined) yield* Fiber.interrupt(reopening)
      yield* turn.withPermit(
        Effect.gen(function* () {
          const last = phase
          phase = { _tag: "closed" }
          if (pending !== undefined) {
            Deferred.doneUnsafe(pending.resolution, Exit.fail(EngineErrors.closed(filename, "unknown")))
          }
          if (last._tag !== "open") return
          yield* Effect.promise(() => closeAll(readers))
          if (!inMemory) yield* finish(last.opened)
          Instance.close(last.opened)
        })
      )
    })
  )

  /** Moves the log into the file; where it cannot, the next start does. */
  const finish = (opened: Instance.Opened) =>
    Effect.tryPromise({ try: () => opened.writer.run("CHECKPOINT"), catch: (cause) => cause }).pipe(
      Effect.when(Instance.hasRoom(source)),
      Effect.catch((cause) =>
        Effect.logWarning("database not checkpointed", { filename, error: EngineErrors.text(cause) })
      )
    )

  return {
    source,
    connect,
    withWriter: (use) =>
      Effect.flatMap(current, ({ writer }) => use(writer)).pipe(Effect.uninterruptible, turn.withPermit),
    latest: () => latest,
    hasCommits: () => hasCommits,
    acknowledge(number) {
      latest = number
      hasCommits = true
      mark?.write(number)
    },
    defer(transaction, cause) {
      pending = transaction
      if (phase._tag === "open") failed(phase.opened, cause)
    },
    limit: Effect.suspend(() =>
      phase._tag !== "open" || isLimited
        ? Effect.void
        : Effect.map(Instance.limit(source, phase.opened.writer), (done) => {
            isLimited = done
          })
    ),
    notices: () => notices,
    available: Effect.asVoid(current),
    roomForWrites: Effect.flatMap(
      Effect.promise(() => Instance.freeBytes(source)),
      (free) => (free < leastRoom ? Effect.fail(EngineErrors.full(filename)) : Effect.void)
    ),
    size: Effect.tryPromise({
      try: () => Instance.bytesOfAll(source),
      catch: (cause) => EngineErrors.ofOpening(filename, cause)
    })
  }
})

const closeAll = (readers: Iterable<Promise<Connection>>) =>
  Promise.all(
    Array.from(readers, (reader) =>
      reader.then(
        (connection) => connection.close(),
        () => undefined
      )
    )
  )

const bytesOf = ({ memoryLimit = "256 MiB" }: Options) => ByteSize.toNumberUnsafe(ByteSize.fromInputUnsafe(memoryLimit))

const leastRoom = 256 * 2 ** 10

const backoff = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("5 seconds")]).pipe(Schedule.jittered)
