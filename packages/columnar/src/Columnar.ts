import { availableParallelism } from "node:os"
import { Array, Cause, Context, Data, Effect, Exit, Layer, type Scope, Semaphore, Stream } from "effect"
import type { ColumnarError } from "./ColumnarError.ts"
import * as Connection from "./Connection.ts"
import * as Database from "./Database.ts"
import * as GroupCommit from "./GroupCommit.ts"
import * as Migrations from "./Migrations.ts"
import * as Transaction from "./Writer.ts"

export type { Row, Value } from "./Connection.ts"
export type { Writer } from "./Writer.ts"

export interface Options extends Database.Options {
  readonly migrations: Migrations.Migrations
}

/**
 * The embedded columnar store: one file, owned by one process. All changes go through one writer connection; reads have
 * connections of their own and see what is committed. What was acknowledged survives a kill.
 */
export class Columnar extends Context.Service<
  Columnar,
  {
    /** The whole result of one statement. Interruption stops it. `A` is the caller's word for what the statement selects. */
    query<A extends object = Connection.Row>(
      sql: string,
      parameters?: ReadonlyArray<Connection.Value>
    ): Effect.Effect<ReadonlyArray<A>, ColumnarError>
    /** As `query`, for results of more than some 10 000 rows: they are read as they are consumed, from one snapshot. */
    stream<A extends object = Connection.Row>(
      sql: string,
      parameters?: ReadonlyArray<Connection.Value>
    ): Stream.Stream<A, ColumnarError>
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
    /** Succeeds when the store can begin and commit a transaction; long reads do not hold it up. */
    readonly ping: Effect.Effect<void, ColumnarError>
    /** Bytes on disk, with the write-ahead log; 0 for `:memory:`. */
    readonly size: Effect.Effect<number, ColumnarError>
  }
>()("@opsbuddy/columnar/Columnar") {
  /**
   * Opens and migrates the store; fails with `locked`, `open` or `migration`. Closing the scope completes the waiting writes,
   * moves the write-ahead log into the file and closes it.
   */
  static readonly layer = (options: Options): Layer.Layer<Columnar, ColumnarError> =>
    Layer.effect(Columnar, make(options))
}

/**
 * Each statement holds a thread of the runtime's pool while it runs. Bun's has as many threads as there are processors, and at
 * least 2; one is left to the writer, whatever is being read.
 */
const concurrentReads = Math.max(1, Math.min(2, availableParallelism() - 1))

const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Columnar["Service"], ColumnarError, Scope.Scope> {
  const { filename } = options
  const database = yield* Database.open(options)
  const connection = yield* database.connect
  const transaction = Transaction.make(connection, filename)
  yield* Migrations.apply(filename, options.migrations, transaction)
  yield* Effect.addFinalizer(() =>
    Effect.catch(Connection.run(connection, filename, "CHECKPOINT"), (error) =>
      Effect.logWarning("database not checkpointed", { filename, error: error.message })
    )
  )

  const reading = yield* Semaphore.make(concurrentReads)

  const query: Columnar["Service"]["query"] = <A extends object>(
    sql: string,
    parameters: ReadonlyArray<Connection.Value> = []
  ) =>
    database.connect.pipe(
      Effect.flatMap((connection) => Connection.query<A>(connection, filename, sql, parameters)),
      Effect.scoped,
      reading.withPermit,
      Effect.withSpan("Columnar.query")
    )

  const stream: Columnar["Service"]["stream"] = <A extends object>(
    sql: string,
    parameters: ReadonlyArray<Connection.Value> = []
  ) =>
    Stream.unwrap(
      database.connect.pipe(
        Effect.flatMap((connection) => reading.withPermit(Connection.stream<A>(connection, filename, sql, parameters))),
        Effect.map((next) =>
          Stream.fromPull(
            Effect.succeed(
              Effect.flatMap(reading.withPermit(next), (rows) =>
                Array.isReadonlyArrayNonEmpty(rows) ? Effect.succeed(rows) : Cause.done()
              )
            )
          )
        )
      )
    )

  const grouped: Columnar["Service"]["grouped"] = Effect.fnUntraced(function* <Item, E, R>(
    commit: (items: Array.NonEmptyReadonlyArray<Item>, writer: Transaction.Writer) => Effect.Effect<unknown, E, R>,
    { capacity = 256 }: { readonly capacity?: number } = {}
  ): Effect.fn.Return<(item: Item) => Effect.Effect<void, E | ColumnarError>, never, R | Scope.Scope> {
    const context = yield* Effect.context<R>()
    return yield* GroupCommit.make<Item, E | ColumnarError>({
      commit: (items) => transaction((writer) => Effect.provideContext(commit(items, writer), context)),
      capacity,
      closed: () => Database.closedError(filename)
    })
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
        return Exit.isSuccess(exit) ? Effect.void : new JobFailed()
      })
    ).pipe(Effect.catchTag("JobFailed", () => Effect.void))
    return yield* outcome
  })

  return Columnar.of({
    query,
    stream,
    write,
    grouped,
    ping: Effect.andThen(
      Effect.scoped(database.connect),
      transaction(() => Effect.void)
    ),
    size: database.size
  })
})

type Job = (writer: Transaction.Writer) => Effect.Effect<void, JobFailed>

/** Rolls the shared transaction back; what went wrong is kept for the job's own caller. */
class JobFailed extends Data.TaggedError("JobFailed") {}
