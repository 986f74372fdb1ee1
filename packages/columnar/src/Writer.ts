import type { DuckDBConnection } from "@duckdb/node-api"
import { Effect, Semaphore } from "effect"
import type { ColumnarError } from "./ColumnarError.ts"
import * as Connection from "./Connection.ts"

/** The write transaction that a job runs in. It is committed when the job succeeds and rolled back when it fails. */
export interface Writer {
  /** Runs one or, without parameters, several statements and answers how many rows the last one changed. */
  run(sql: string, parameters?: ReadonlyArray<Connection.Value>): Effect.Effect<number, ColumnarError>
  /** Sees what this transaction has changed. `A` is the caller's word for what the statement selects. */
  query<A extends object = Connection.Row>(
    sql: string,
    parameters?: ReadonlyArray<Connection.Value>
  ): Effect.Effect<ReadonlyArray<A>, ColumnarError>
  /** Appends rows with a value for every column of the table, in the table's order. */
  append(table: string, rows: ReadonlyArray<ReadonlyArray<Connection.Value>>): Effect.Effect<void, ColumnarError>
  /** Runs `action` when the transaction is on disk, before anyone is told so. */
  afterCommit(action: () => void): void
}

/** Transactions on one connection, one at a time, each run to its end even when its caller is interrupted. */
export const make = (connection: DuckDBConnection, filename: string) => {
  const turn = Semaphore.makeUnsafe(1)
  const run: Writer["run"] = (sql, parameters) => Connection.run(connection, filename, sql, parameters)

  return <A, E>(body: (writer: Writer) => Effect.Effect<A, E>): Effect.Effect<A, E | ColumnarError> =>
    Effect.suspend(() => {
      const actions: Array<() => void> = []
      const writer: Writer = {
        run,
        query: (sql, parameters = []) => Connection.query(connection, filename, sql, parameters),
        append: (table, rows) => Connection.append(connection, filename, table, rows),
        afterCommit: (action) => {
          actions.push(action)
        }
      }
      return run("BEGIN TRANSACTION").pipe(
        Effect.andThen(body(writer)),
        Effect.tap(run("COMMIT")),
        // A failed COMMIT has rolled back already, and then ROLLBACK fails for want of a transaction.
        Effect.onError(() => Effect.ignore(run("ROLLBACK"))),
        Effect.tap(() =>
          Effect.sync(() => {
            for (const action of actions) action()
          })
        )
      )
    }).pipe(Effect.uninterruptible, turn.withPermit)
}
