import { createHash } from "node:crypto"
import type { AuditEntry } from "@opsbuddy/contract/Audit"
import type { Principal } from "@opsbuddy/contract/Identity"
import type { RequestId, StoreProblem } from "@opsbuddy/contract/Problems"
import { Clock, Context, DateTime, Effect, Layer, type Schema } from "effect"
import { SqlClient } from "effect/sql"
import { RequestContext } from "./RequestContext.ts"
import { SqliteStore } from "./SqliteStore.ts"

/** What somebody does, as it is to be recorded. */
export interface Action {
  readonly principal: Principal
  /** `<domain>.<verb>`. */
  readonly action: string
  readonly resource: string
  readonly reason?: string
  readonly detail?: Schema.Json
}

export interface AuditQuery {
  readonly from?: DateTime.Utc | undefined
  readonly to?: DateTime.Utc | undefined
  /** 1 to 1000; 100 when absent. */
  readonly limit?: number | undefined
  /** The `nextCursor` of the page before. */
  readonly cursor?: string | undefined
}

export interface AuditPage {
  readonly items: ReadonlyArray<AuditEntry>
  readonly nextCursor?: string
}

/** The service's record of who did what: only ever added to, each entry chained to the one before by its hash. */
export class Audit extends Context.Service<
  Audit,
  {
    /**
     * Records an action, durably, also on a full disk; to be done before the action takes effect. The request id is that of the
     * present request.
     */
    record(action: Action): Effect.Effect<AuditEntry, StoreProblem>
    /** Oldest first. */
    list(query: AuditQuery): Effect.Effect<AuditPage, StoreProblem>
    /** The sequence of the first entry that does not fit the one before it; `undefined` when the chain is whole. */
    readonly firstBroken: Effect.Effect<number | undefined, StoreProblem>
  }
>()("@opsbuddy/runtime/Audit") {
  /** Over the service's own SQLite database, whose migrations must have those of this module. */
  static readonly layer: Layer.Layer<Audit, never, SqlClient.SqlClient | SqliteStore> = Layer.effect(
    Audit,
    Effect.suspend(() => make)
  )
}

/** `entry` is the JSON that the hash is over; times are milliseconds since 1970. */
export const migrations = {
  "0001_audit": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE audit (
      sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, entry TEXT NOT NULL, hash TEXT NOT NULL
    ) STRICT`
    yield* sql`CREATE INDEX audit_by_time ON audit (at, sequence)`
  })
}

interface Row {
  readonly sequence: number
  readonly at: number
  readonly entry: string
  readonly hash: string
}

/** What `entry` holds. */
interface Kept {
  readonly sequence: number
  readonly timestamp: string
  readonly principal: { readonly subject: string; readonly kind: Principal["kind"] }
  readonly action: string
  readonly resource: string
  readonly reason?: string
  readonly detail?: Schema.Json
  readonly requestId?: RequestId
}

/** Before the first entry. */
const origin = "0".repeat(64)

const hashOf = (before: string, entry: string) => createHash("sha256").update(`${before}\n${entry}`).digest("hex")

/** What `record` alone has written. */
const keptIn = (entry: string): Kept => JSON.parse(entry)

const toEntry = (row: Row): AuditEntry => {
  const kept = keptIn(row.entry)
  return { ...kept, timestamp: DateTime.makeUnsafe(row.at), hash: row.hash }
}

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const store = yield* SqliteStore
  const last = Effect.map(
    sql<Row>`SELECT sequence, at, entry, hash FROM audit ORDER BY sequence DESC LIMIT 1`,
    ([row]) => row
  )
  return Audit.of({
    record: Effect.fn("Audit.record")(function* ({ principal, ...action }) {
      const { requestId } = (yield* RequestContext) ?? {}
      const at = yield* Clock.currentTimeMillis
      return yield* store.essential(
        Effect.gen(function* () {
          const before = yield* last
          const kept: Kept = {
            sequence: (before?.sequence ?? 0) + 1,
            timestamp: new Date(at).toISOString(),
            principal: { subject: principal.subject, kind: principal.kind },
            ...action,
            ...(requestId === undefined ? {} : { requestId })
          }
          const entry = JSON.stringify(kept)
          const row: Row = { sequence: kept.sequence, at, entry, hash: hashOf(before?.hash ?? origin, entry) }
          yield* sql`INSERT INTO audit ${sql.insert({ ...row })}`
          return toEntry(row)
        })
      )
    }),
    list: Effect.fn("Audit.list")(function* ({ cursor, from, limit = 100, to }) {
      const after = Number(cursor ?? 0)
      const rows = yield* store.read(sql<Row>`SELECT sequence, at, entry, hash FROM audit
        WHERE sequence > ${Number.isSafeInteger(after) ? after : 0}
          AND at >= ${from?.epochMilliseconds ?? 0} AND at < ${to?.epochMilliseconds ?? Number.MAX_SAFE_INTEGER}
        ORDER BY sequence LIMIT ${limit + 1}`)
      const items = rows.slice(0, limit).map(toEntry)
      const final = items.at(-1)
      return rows.length > limit && final !== undefined ? { items, nextCursor: String(final.sequence) } : { items }
    }),
    firstBroken: store.read(
      Effect.map(sql<Row>`SELECT sequence, at, entry, hash FROM audit ORDER BY sequence`, (rows) => {
        let before = origin
        for (const [index, { at, entry, hash, sequence }] of rows.entries()) {
          if (sequence !== index + 1 || hash !== hashOf(before, entry)) return sequence
          // The time stands beside the entry too, to be looked for.
          if (keptIn(entry).timestamp !== new Date(at).toISOString()) return sequence
          before = hash
        }
        return undefined
      })
    )
  })
})
