import { Effect } from "effect"
import { SqlError } from "effect/sql"
import type { Reserve } from "./SqliteReserve.ts"

/** Where a transaction ends: what fails there may have been stored. */
export const commitOperation = "commit"

export const failure = (operation: string) => (cause: unknown) =>
  new SqlError.SqlError({
    reason: SqlError.classifySqliteError(
      // `node:sqlite` reports `errcode` where the classifier reads `errno`.
      cause instanceof Error && "errcode" in cause ? Object.assign(cause, { errno: cause.errcode }) : cause,
      { message: `sqlite could not ${operation}`, operation }
    )
  })

/** SQLite's extended result code, https://www.sqlite.org/rescode.html. */
const codeOf = ({ reason: { cause } }: SqlError.SqlError) =>
  cause instanceof Error && "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode : undefined

const primary = (code: number) => code & 0xff

const [busy, locked, readOnly, ioError, corrupt, full, cannotOpen, constraint, notADatabase] = [
  5, 6, 8, 10, 11, 13, 14, 19, 26
]

/**
 * Whether there was no room. SQLite says so of its files only where a write fails with ENOSPC; a shared memory file that cannot
 * grow, a file that cannot be made, a late allocation and a quota are input and output errors to it, so that the disk is asked.
 */
export const isFull = (error: SqlError.SqlError, reserve: Reserve): Effect.Effect<boolean> => {
  const code = codeOf(error)
  if (code === undefined) return Effect.succeed(false)
  if (code === full) return Effect.succeed(true)
  return primary(code) === ioError || primary(code) === cannotOpen ? reserve.isDiskFull : Effect.succeed(false)
}

export const isDamage = (error: SqlError.SqlError) => {
  const code = primary(codeOf(error) ?? 0)
  return code === corrupt || code === notADatabase
}

/** Another process has the lock. */
export const isBusy = (error: SqlError.SqlError) => {
  const code = primary(codeOf(error) ?? 0)
  return code === busy || code === locked
}

/** A statement that the schema does not let through: no sign that anything is wrong with the store. */
export const isConstraint = (error: SqlError.SqlError) => primary(codeOf(error) ?? 0) === constraint

/** What to do about a damaged file. */
export const advice = (file: string) =>
  `put a copy of it back, or save what can be read with sqlite3 ${file} .recover; it was left as it is`

/** Why the store in `file` cannot be used, for callers and operators; `undefined` where only the log should know. */
export const reasonOf = (error: SqlError.SqlError, file: string): string | undefined => {
  switch (primary(codeOf(error) ?? 0)) {
    case busy:
    case locked:
      return `another process holds the database ${file}`
    case readOnly:
      return `the database ${file} cannot be written to`
    case ioError:
      return `the disk reports an error for ${file}`
    case cannotOpen:
      return `the database ${file} cannot be opened`
    case corrupt:
    case notADatabase:
      return `the database ${file} is damaged: ${advice(file)}`
    default:
      return undefined
  }
}
