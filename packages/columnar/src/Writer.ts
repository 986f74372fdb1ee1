import { Cause, Deferred, Effect, Exit, Option } from "effect"
import * as Append from "./Append.ts"
import type { Changes } from "./Checkpoints.ts"
import type { Column } from "./Chunk.ts"
import { ColumnarError } from "./ColumnarError.ts"
import * as Commits from "./Commits.ts"
import { type Connection, type Row, run, type Value, withStatement } from "./Connection.ts"
import type { Engine, Resolution } from "./Engine.ts"
import * as EngineErrors from "./EngineErrors.ts"

/** The write transaction that a job runs in. It is committed when the job succeeds and rolled back when it fails. */
export interface Writer {
  /** Runs one or, without parameters, several statements and answers how many rows the last one changed. */
  run(sql: string, parameters?: ReadonlyArray<Value>): Effect.Effect<number, ColumnarError>
  /** Sees what this transaction has changed. `A` is the caller's word for what the statement selects. */
  query<A extends object = Row>(
    sql: string,
    parameters?: ReadonlyArray<Value>
  ): Effect.Effect<ReadonlyArray<A>, ColumnarError>
  /** Appends rows with a value for every column of the table, in the table's order. */
  append(table: string, rows: ReadonlyArray<ReadonlyArray<Value>>): Effect.Effect<void, ColumnarError>
  /** The same for columns, which is several times as fast where they are typed arrays. All of them have `rowCount` values. */
  appendColumns(table: string, columns: ReadonlyArray<Column>, rowCount: number): Effect.Effect<void, ColumnarError>
  /** Makes the transaction write its number, though it changes nothing else. */
  readonly touch: Effect.Effect<void>
  /** Runs `action` when the transaction is on disk, before anyone learns of it; also where only a reopened file tells that it is. */
  afterCommit(action: () => void): void
}

/** How long a caller waits for the file to be opened anew, to learn whether its transaction was committed. */
const patience = "10 seconds"

/** `changes` is absent where nothing was written. */
export interface Committed<A> {
  readonly value: A
  readonly changes: Changes | undefined
}

type Outcome<A> =
  | { readonly _tag: "committed"; readonly committed: Committed<A> }
  /** The engine failed while it committed: the file knows the outcome. */
  | {
      readonly _tag: "deferred"
      readonly committed: Committed<A>
      readonly resolution: Deferred.Deferred<Resolution, ColumnarError>
    }

/**
 * Transactions on one connection, one at a time, each run to its end even when its caller is interrupted. One that needs more
 * memory than there is runs once more after `makeRoom`.
 */
export const make =
  (engine: Engine, makeRoom: (writer: Connection) => Effect.Effect<void, ColumnarError>) =>
  <A, E>(body: (writer: Writer) => Effect.Effect<A, E>): Effect.Effect<Committed<A>, E | ColumnarError> =>
    engine
      .withWriter((connection) =>
        attempt(engine, connection, body).pipe(
          Effect.catchCause((cause) =>
            isOutOfMemory(cause)
              ? Effect.andThen(makeRoom(connection), attempt(engine, connection, body))
              : Effect.failCause(cause)
          )
        )
      )
      .pipe(
        Effect.flatMap((outcome): Effect.Effect<Committed<A>, ColumnarError> => {
          if (outcome._tag === "committed") return Effect.succeed(outcome.committed)
          return Effect.flatMap(resolved(engine, outcome.resolution), (resolution) =>
            resolution === "committed"
              ? Effect.succeed(outcome.committed)
              : Effect.fail(EngineErrors.unavailable(engine.source.filename, "the database failed while it committed"))
          )
        }),
        Effect.uninterruptible
      )

const isOutOfMemory = (cause: Cause.Cause<unknown>) =>
  Option.exists(Cause.findErrorOption(cause), (error) => error instanceof ColumnarError && error.reason === "memory")

const resolved = (engine: Engine, resolution: Deferred.Deferred<Resolution, ColumnarError>) =>
  Deferred.await(resolution).pipe(
    Effect.timeoutOption(patience),
    Effect.flatMap(
      Option.match({
        onNone: () =>
          Effect.fail(
            new ColumnarError({
              reason: "unavailable",
              filename: engine.source.filename,
              message: "the database failed while it committed and is still being reopened",
              applied: "unknown"
            })
          ),
        onSome: Effect.succeed
      })
    )
  )

const attempt = Effect.fnUntraced(function* <A, E>(
  engine: Engine,
  connection: Connection,
  body: (writer: Writer) => Effect.Effect<A, E>
): Effect.fn.Return<Outcome<A>, E | ColumnarError> {
  const actions: Array<() => void> = []
  const appended = new Map<string, number>()
  let statements = 0
  let changed = false
  const executing = <B>(effect: Effect.Effect<B, ColumnarError>) =>
    Effect.suspend(() => {
      changed = true
      statements++
      return effect
    })
  const appending = (table: string, columns: number, effect: Effect.Effect<void, ColumnarError>) =>
    Effect.suspend(() => {
      changed = true
      appended.set(table, columns)
      return effect
    })
  const writer: Writer = {
    run: (sql, parameters) => executing(run(connection, sql, parameters)),
    query: <A extends object>(sql: string, parameters: ReadonlyArray<Value> = []) => {
      const rows = queryRows<A>(connection, sql, parameters)
      return /^\s*(SELECT|FROM)\b/i.test(sql) ? rows : executing(rows)
    },
    append: (table, rows) => appending(table, rows[0]?.length ?? 0, Append.rows(connection, { table }, rows)),
    appendColumns: (table, columns, rowCount) =>
      appending(table, columns.length, Append.columns(connection, { table }, columns, rowCount)),
    touch: Effect.sync(() => {
      changed = true
    }),
    afterCommit: (action) => {
      actions.push(action)
    }
  }
  const rollback = Effect.ignore(run(connection, "ROLLBACK"))
  yield* run(connection, "BEGIN TRANSACTION").pipe(
    // A rollback that failed has left one open.
    Effect.catchIf(
      (error) => error.message.includes("within a transaction"),
      () => Effect.andThen(rollback, run(connection, "BEGIN TRANSACTION"))
    )
  )
  const value = yield* Effect.onError(body(writer), () => rollback)
  const number = engine.latest() + 1
  const onDisk = () => {
    if (changed) engine.acknowledge(number)
    for (const action of actions) action()
  }
  const exit = yield* Effect.exit(run(connection, changed ? Commits.commit(number, engine.hasCommits()) : "COMMIT"))
  const committed = { value, changes: changed ? { appended, statements } : undefined }
  if (Exit.isSuccess(exit)) {
    onDisk()
    return { _tag: "committed", committed }
  }
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  if (changed && error?.reason === "unavailable") {
    const resolution = Deferred.makeUnsafe<Resolution, ColumnarError>()
    engine.defer({ number, committed: onDisk, resolution }, error.cause ?? error)
    return { _tag: "deferred", committed, resolution }
  }
  // A failed COMMIT has rolled back already, and then ROLLBACK fails for want of a transaction.
  yield* rollback
  return yield* Effect.failCause(exit.cause)
})

/** The whole result at once: within a transaction there is no other use of the connection meanwhile. */
const queryRows = <A extends object>(connection: Connection, sql: string, parameters: ReadonlyArray<Value>) =>
  connection.call(async () => {
    const result = await withStatement(connection.native, sql, parameters, (statement) => statement.run())
    const rows: ReadonlyArray<object> = await result.getRowObjectsJS()
    // The columns of a statement are known to its author only.
    return rows as ReadonlyArray<A>
  })
