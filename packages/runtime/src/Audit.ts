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

/** Looks at this many entries at once, between which others get their turn. */
const sliceRows = 1000

/** Milliseconds since 1970, with `from` inside and `to` outside; entries after the sequence `after`. */
interface Range {
  readonly after: number
  readonly from: number
  readonly to: number
  readonly limit: number
}

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const store = yield* SqliteStore
  const last = Effect.map(
    sql<Row>`SELECT sequence, at, entry, hash FROM audit ORDER BY sequence DESC LIMIT 1`,
    ([row]) => row
  )
  const lastSequence = Effect.map(last, (row) => row?.sequence ?? 0)

  /** Entries of a time, in the order of their sequence, which is not that of their time where the clock was set back. */
  const find = Effect.fnUntraced(function* ({ after, from, limit, to }: Range) {
    const some = yield* sql<Pick<Row, "sequence">>`SELECT sequence FROM audit
      WHERE at >= ${from} AND at < ${to} ORDER BY at LIMIT ${sliceRows + 1}`
    if (some.length <= sliceRows) {
      const sequences = some.map(({ sequence }) => sequence).filter((sequence) => sequence > after)
      const wanted = sequences.sort((a, b) => a - b).slice(0, limit)
      return yield* sql<Row>`SELECT sequence, at, entry, hash FROM audit
        WHERE sequence IN (SELECT value FROM json_each(${JSON.stringify(wanted)})) ORDER BY sequence`
    }
    const end = yield* lastSequence
    const rows: Array<Row> = []
    for (let start = after; start < end && rows.length < limit; start += sliceRows) {
      const found = yield* sql<Row>`SELECT sequence, at, entry, hash FROM audit
        WHERE sequence > ${start} AND sequence <= ${start + sliceRows} AND at >= ${from} AND at < ${to}
        ORDER BY sequence LIMIT ${limit - rows.length}`
      rows.push(...found)
      yield* Effect.yieldNow
    }
    return rows
  })

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
      const rows = yield* find({
        after: Number.isSafeInteger(after) ? after : 0,
        from: from?.epochMilliseconds ?? 0,
        to: to?.epochMilliseconds ?? Number.MAX_SAFE_INTEGER,
        limit: limit + 1
      })
      const items = rows.slice(0, limit).map(toEntry)
      const final = items.at(-1)
      return rows.length > limit && final !== undefined ? { items, nextCursor: String(final.sequence) } : { items }
    }, store.read),
    firstBroken: Effect.gen(function* () {
      let before: Pick<Row, "hash" | "sequence"> = { sequence: 0, hash: origin }
      for (;;) {
        const rows: ReadonlyArray<Row> = yield* sql<Row>`SELECT sequence, at, entry, hash FROM audit
          WHERE sequence > ${before.sequence} ORDER BY sequence LIMIT ${sliceRows}`
        for (const row of rows) {
          if (!follows(row, before)) return row.sequence
          before = row
        }
        if (rows.length < sliceRows) return undefined
        yield* Effect.yieldNow
      }
    }).pipe(store.read)
  })
})

/** Whether the entry continues the chain, and has the time that stands beside it to be looked for. */
const follows = ({ at, entry, hash, sequence }: Row, before: Pick<Row, "hash" | "sequence">) =>
  sequence === before.sequence + 1 &&
  hash === hashOf(before.hash, entry) &&
  keptIn(entry).timestamp === new Date(at).toISOString()
