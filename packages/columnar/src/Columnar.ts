import { availableParallelism } from "node:os"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Array, Cause, Context, Data, Effect, Exit, Layer, Option, type Scope, Semaphore, Stream } from "effect"
import * as Checkpoints from "./Checkpoints.ts"
import { ColumnarError } from "./ColumnarError.ts"
import type { Row, Value } from "./Connection.ts"
import * as Engine from "./Engine.ts"
import * as EngineErrors from "./EngineErrors.ts"
import * as GroupCommit from "./GroupCommit.ts"
import * as Migrations from "./Migrations.ts"
import * as Read from "./Read.ts"
import * as Transaction from "./Writer.ts"

export type { Column, ColumnValues } from "./Chunk.ts"
export type { Row, Value } from "./Connection.ts"
export type { Columns, ColumnType, ParameterTable, ReadOptions } from "./Read.ts"
export type { Writer } from "./Writer.ts"

export interface Options extends Engine.Options {
  readonly migrations: Migrations.Migrations
}

/**
 * The embedded columnar store: one file, owned by one process. All changes go through one writer connection; reads have
 * connections of their own and see what is committed. What was acknowledged survives a kill.
 *
 * When the engine fails, the store opens the file anew by itself; meanwhile all calls fail with `unavailable`. Refused writes
 * and what a start finds out about the file are reported to `StoreHealth`.
 */
export class Columnar extends Context.Service<
  Columnar,
  {
    /** The whole result of one SELECT. Interruption stops it. `A` is the caller's word for what the statement selects. */
    query<A extends object = Row>(
      sql: string,
      parameters?: ReadonlyArray<Value>,
      options?: Read.ReadOptions
    ): Effect.Effect<ReadonlyArray<A>, ColumnarError>
    /**
     * As `query`, for results of more than some 10 000 rows: they are read as they are consumed, from one snapshot. A result that
     * ends without an error is whole.
     */
    stream<A extends object = Row>(
      sql: string,
      parameters?: ReadonlyArray<Value>,
      options?: Read.ReadOptions
    ): Stream.Stream<A, ColumnarError>
    /**
     * As `stream`, for a million rows: an element has up to 2048 of them, as an array for each column. BIGINT, UBIGINT, DOUBLE and INTEGER
     * without missing values are typed arrays.
     */
    streamChunks(
      sql: string,
      parameters?: ReadonlyArray<Value>,
      options?: Read.ReadOptions
    ): Stream.Stream<Read.Columns, ColumnarError>
    /**
     * Runs `job` in a transaction, which it shares with the other jobs that wait at that moment, and returns when it is on disk.
     * When one of them fails, all are rolled back and run again apart from it: a job must change nothing but the store, and leave
     * the rest to `writer.afterCommit`. At most 256 jobs wait, further callers are held back.
     */
    write<A, E, R>(job: (writer: Transaction.Writer) => Effect.Effect<A, E, R>): Effect.Effect<A, E | ColumnarError, R>
    /**
     * Makes a function that returns when `commit` has put its item on disk. All items that wait at that moment are handed over
     * together; with the same rules as for `write`.
     */
    grouped<Item, E, R>(
      commit: (items: Array.NonEmptyReadonlyArray<Item>, writer: Transaction.Writer) => Effect.Effect<unknown, E, R>,
      options?: { readonly capacity?: number }
    ): Effect.Effect<(item: Item) => Effect.Effect<void, E | ColumnarError>, never, R | Scope.Scope>
    /** Succeeds when the store can begin and commit a transaction; writes nothing. Long reads do not hold it up. */
    readonly ping: Effect.Effect<void, ColumnarError>
    /** Puts a commit without content on disk, if the disk has room for more than that, and so ends an outage that is over. */
    readonly tryWrite: Effect.Effect<void, ColumnarError>
    /** Bytes on disk, with the write-ahead log; 0 for `:memory:`. */
    readonly size: Effect.Effect<number, ColumnarError>
    /** What was found wrong with the file at its openings, a sentence each, oldest first. */
    readonly notices: Effect.Effect<ReadonlyArray<string>>
  }
>()("@opsbuddy/columnar/Columnar") {
  /**
   * Opens and migrates the store; fails with `locked`, `open`, `full` or `migration`. Closing the scope completes the waiting
   * writes, moves the write-ahead log into the file and closes it.
   */
  static readonly layer = (options: Options): Layer.Layer<Columnar, ColumnarError, StoreHealth> =>
    Layer.effect(Columnar, make(options))
}

/**
 * Each statement holds a thread of the runtime's pool while it runs. Bun's has as many threads as there are processors, and at
 * least 2; one is left to the writer, whatever is being read.
 */
const concurrentReads = Math.max(1, Math.min(2, availableParallelism() - 1))

const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Columnar["Service"], ColumnarError, Scope.Scope | StoreHealth> {
  const health = yield* StoreHealth
  const scope = yield* Effect.scope
  const engine = yield* Engine.make(options)
  const { filename } = engine.source
  const checkpoints = Checkpoints.make(engine, health)
  const transact = Transaction.make(engine, checkpoints.run)

  /** The checkpoint runs after whoever waits for the commit has learnt of it. */
  const checkpoint = (changes: Checkpoints.Changes) =>
    Effect.flatMap(checkpoints.isTime(changes), (isTime) =>
      isTime
        ? engine.withWriter(checkpoints.runIfDue).pipe(Effect.ignore, Effect.forkIn(scope), Effect.asVoid)
        : Effect.void
    )

  const transaction = <A, E>(body: (writer: Transaction.Writer) => Effect.Effect<A, E>) =>
    transact(body).pipe(
      Effect.tap(({ changes }) =>
        changes === undefined ? Effect.void : Effect.andThen(health.accepted, checkpoint(changes))
      ),
      Effect.map(({ value }) => value)
    )

  /** For each caller, because each of them was refused. */
  const reporting = <A, E, R>(write: Effect.Effect<A, E | ColumnarError, R>) =>
    Effect.tapError(write, (error) =>
      error instanceof ColumnarError && refusals.has(error.reason) ? health.refused(error.message) : Effect.void
    )

  yield* Migrations.apply(filename, options.migrations, transaction)

  const reading = yield* Semaphore.make(concurrentReads)

  const start = (sql: string, parameters: ReadonlyArray<Value> = [], options: Read.ReadOptions = {}) =>
    Effect.flatMap(engine.connect, (connection) =>
      Effect.map(reading.withPermit(Read.start(connection, sql, parameters, options)), ({ names, next }) => ({
        names,
        next: reading.withPermit(next)
      }))
    )

  const chunks = <A>(
    reading: Effect.Effect<Read.Reading, ColumnarError, Scope.Scope>,
    element: (names: ReadonlyArray<string>, chunk: Read.Columns) => ReadonlyArray<A>
  ) =>
    Stream.unwrap(
      Effect.map(reading, ({ names, next }) =>
        Stream.fromPull(
          Effect.succeed(
            Effect.flatMap(next, (chunk) => {
              const elements = chunk === undefined ? [] : element(names, chunk)
              return Array.isReadonlyArrayNonEmpty(elements) ? Effect.succeed(elements) : Cause.done()
            })
          )
        )
      )
    )

  const stream: Columnar["Service"]["stream"] = <A extends object>(
    sql: string,
    parameters?: ReadonlyArray<Value>,
    options?: Read.ReadOptions
  ) => chunks(start(sql, parameters, options), (names, chunk) => Read.rowsOf<A>(names, chunk))

  const grouped: Columnar["Service"]["grouped"] = Effect.fnUntraced(function* <Item, E, R>(
    commit: (items: Array.NonEmptyReadonlyArray<Item>, writer: Transaction.Writer) => Effect.Effect<unknown, E, R>,
    { capacity = 256 }: { readonly capacity?: number } = {}
  ): Effect.fn.Return<(item: Item) => Effect.Effect<void, E | ColumnarError>, never, R | Scope.Scope> {
    const context = yield* Effect.context<R>()
    const add = yield* GroupCommit.make<Item, E | ColumnarError>({
      commit: (items) => transaction((writer) => Effect.provideContext(commit(items, writer), context)),
      capacity,
      closed: () => EngineErrors.closed(filename),
      isOutage: (error) => error instanceof ColumnarError && error.isOutage
    })
    return (item) => reporting(Effect.andThen(engine.available, add(item)))
  })

  const enqueue = yield* grouped((jobs: ReadonlyArray<Job>, writer) =>
    Effect.forEach(jobs, (job) => job(writer), { discard: true })
  )

  const write: Columnar["Service"]["write"] = Effect.fn("Columnar.write")(function* <A, E, R>(
    job: (writer: Transaction.Writer) => Effect.Effect<A, E, R>
  ): Effect.fn.Return<A, E | ColumnarError, R> {
    const context = yield* Effect.context<R>()
    let outcome: Effect.Effect<A, E> = Effect.die(new Error("the job did not run"))
    yield* enqueue((writer) =>
      Effect.flatMap(Effect.exit(Effect.provideContext(job(writer), context)), (exit) => {
        outcome = exit
        return Exit.isSuccess(exit) ? Effect.void : Effect.fail(ofStore(exit) ?? new JobFailed())
      })
    ).pipe(Effect.catchTag("JobFailed", () => Effect.void))
    return yield* outcome
  })

  return Columnar.of({
    query: <A extends object>(sql: string, parameters?: ReadonlyArray<Value>, options?: Read.ReadOptions) =>
      Stream.runCollect(stream<A>(sql, parameters, options)).pipe(Effect.withSpan("Columnar.query")),
    stream,
    streamChunks: (sql, parameters, options) => chunks(start(sql, parameters, options), (_, chunk) => [chunk]),
    write,
    grouped,
    ping: Effect.andThen(
      Effect.scoped(engine.connect),
      transaction(() => Effect.void)
    ),
    tryWrite: Effect.andThen(
      engine.roomForWrites,
      transaction((writer) => writer.touch)
    ),
    size: engine.size,
    notices: Effect.sync(engine.notices)
  })
})

/** Reasons for which a write is refused whatever it is; a wrong statement is not the store's fault. */
const refusals: ReadonlySet<ColumnarError["reason"]> = new Set(["full", "memory", "unavailable"])

type Job = (writer: Transaction.Writer) => Effect.Effect<void, JobFailed | ColumnarError>

/** What the store itself failed with in a job: it is not this job's fault. */
const ofStore = (exit: Exit.Exit<unknown, unknown>) =>
  Option.getOrUndefined(
    Option.filter(
      Exit.findErrorOption(exit),
      (error): error is ColumnarError => error instanceof ColumnarError && refusals.has(error.reason)
    )
  )

/** Rolls the shared transaction back; what went wrong is kept for the job's own caller. */
class JobFailed extends Data.TaggedError("JobFailed") {}
