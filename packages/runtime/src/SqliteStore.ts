import { dirname } from "node:path"
import { InsufficientStorage, type StoreProblem, StoreUnavailable } from "@opsbuddy/contract/Problems"
import type { HealthState } from "@opsbuddy/contract/Service"
import { Cause, Context, Effect } from "effect"
import { type SqlClient, SqlError } from "effect/sql"
import { commitOperation, isConstraint, isFull, reasonOf } from "./SqliteFailures.ts"
import { leftToChange, type Reserve } from "./SqliteReserve.ts"
import { StoreHealth } from "./StoreHealth.ts"

/**
 * How a service uses its SQLite database: each failure becomes one of the store's problems here, with the reason, and writes that
 * are refused and accepted are reported to `StoreHealth`. `Sqlite.layer` provides it beside the `SqlClient`.
 */
export class SqliteStore extends Context.Service<
  SqliteStore,
  {
    /** Runs what only reads. */
    read<A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError, R>): Effect.Effect<A, Outcome<E>, R>
    /** Runs the change in one transaction; where it succeeds it is on disk. On a full disk it fails with `InsufficientStorage`. */
    write<A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError, R>): Effect.Effect<A, Outcome<E>, R>
    /**
     * Like `write`, but succeeds on a full disk, too, by room that is reserved for it; the change may then be made more than once,
     * of which one counts. For what makes room and for what operators do, never for what callers can add without bound, and not
     * inside of another transaction.
     */
    essential<A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError, R>): Effect.Effect<A, Outcome<E>, R>
    /**
     * How the store is: `read` is one that touches what the service keeps. As long as writes are refused it tries one, so that an
     * idle service notices the end of an outage; otherwise it does not write.
     */
    probe(read: Effect.Effect<unknown, SqlError.SqlError>): Effect.Effect<HealthState>
  }
>()("@opsbuddy/runtime/SqliteStore") {}

type Outcome<E> = Exclude<E, SqlError.SqlError> | StoreProblem

/** What gives a change room. */
export interface Room {
  readonly reserve: Reserve
  /** Copies the log into the database, so that the log's own room can be used again; whether all of it. Not in a transaction. */
  readonly checkpoint: Effect.Effect<boolean>
}

/**
 * Runs `effect` again while it fails for want of room: after a checkpoint, which makes the most of it, and with a slice of the
 * reserve more each time. A checkpoint that has to make the database grow can take much of it, too.
 */
export const withRoom = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  { checkpoint, reserve }: Room,
  sqlErrorOf: (error: E) => SqlError.SqlError | undefined
): Effect.Effect<A, E, R> => {
  const lacksRoom = (error: E) => {
    const inner = sqlErrorOf(error)
    return inner === undefined ? Effect.succeed(false) : isFull(inner, reserve)
  }
  const checkpointed: Effect.Effect<boolean> = Effect.gen(function* () {
    while (!(yield* checkpoint)) if (((yield* reserve.release) ?? 0) <= leftToChange) return false
    return true
  })
  const again = (error: E): Effect.Effect<A, E, R> =>
    Effect.gen(function* () {
      if (!(yield* lacksRoom(error)) || (yield* reserve.release) === undefined) return yield* Effect.fail(error)
      return yield* Effect.catch(effect, again)
    })
  return Effect.catch(effect, (error) =>
    Effect.flatMap(lacksRoom(error), (lacks) =>
      lacks
        ? checkpointed.pipe(
            Effect.andThen(Effect.catch(effect, again)),
            // What was not needed goes back at once, before something else takes it.
            Effect.ensuring(reserve.refill(0))
          )
        : Effect.fail(error)
    )
  )
}

interface Options {
  readonly filename: string
  readonly sql: SqlClient.SqlClient
  readonly room: Room
  /** One commit that changes nothing but the count of commits. */
  readonly touch: Effect.Effect<void, SqlError.SqlError>
}

export const make = Effect.fnUntraced(function* ({ filename, room, sql, touch }: Options) {
  const health = yield* StoreHealth
  const folder = dirname(filename)
  /** The reason for which the last write was refused, and whether it was for want of room. */
  let refusal: { readonly isFull: boolean } | undefined

  const problem = Effect.fnUntraced(function* (error: SqlError.SqlError) {
    const full = yield* isFull(error, room.reserve)
    const reason = full ? `the disk of ${folder} is full` : reasonOf(error, filename)
    if (reason === undefined) yield* Effect.logError("sqlite failed", Cause.fail(error))
    const detail = reason ?? `the database ${filename} failed; the log of the service says why`
    const applied = error.reason.operation === commitOperation ? "unknown" : "no"
    return { full, problem: full ? new InsufficientStorage({ detail }) : new StoreUnavailable({ applied, detail }) }
  })

  const unreadable = (error: SqlError.SqlError) =>
    Effect.flatMap(problem(error), ({ problem }) => Effect.fail<StoreProblem>(problem))

  const refused = Effect.fnUntraced(function* (error: SqlError.SqlError) {
    const { full, problem: refused } = yield* problem(error)
    if (!isConstraint(error)) {
      refusal = { isFull: full }
      yield* health.refused(refused.detail ?? refused.title)
    }
    return yield* Effect.fail<StoreProblem>(refused)
  })

  /** After a write. One that fits into what is left of the log is no sign yet that a full disk has room again. */
  const accepted = Effect.suspend(() => {
    if (refusal === undefined) return Effect.void
    return Effect.flatMap(refusal.isFull ? room.reserve.hasRoom : Effect.succeed(true), (recovered) => {
      if (!recovered) return Effect.void
      refusal = undefined
      return health.accepted
    })
  })

  return SqliteStore.of({
    read: (effect) => translated(effect, unreadable),
    write: (effect) =>
      translated(
        Effect.tap(sql.withTransaction(effect), () => accepted),
        refused
      ),
    essential: (effect) =>
      translated(
        Effect.tap(withRoom(sql.withTransaction(effect), room, sqlErrorOf), () => accepted),
        refused
      ),
    probe: Effect.fnUntraced(function* (read) {
      const readable = yield* Effect.exit(Effect.catch(read, unreadable))
      if (readable._tag === "Failure") return "unhealthy"
      if (refusal !== undefined) yield* Effect.exit(Effect.tap(touch, () => accepted))
      return refusal === undefined ? "healthy" : "degraded"
    })
  })
})

const sqlErrorOf = (error: unknown) => (SqlError.isSqlError(error) ? error : undefined)

const translated = <A, E, R>(
  effect: Effect.Effect<A, E | SqlError.SqlError, R>,
  translate: (error: SqlError.SqlError) => Effect.Effect<never, StoreProblem>
) =>
  Effect.catch(
    effect,
    (error): Effect.Effect<never, Outcome<E>> =>
      // What is no `SqlError` is of `E` without it, which TypeScript does not follow for a type parameter.
      SqlError.isSqlError(error) ? translate(error) : Effect.fail(error as Exclude<E, SqlError.SqlError>)
  )
