import { join } from "node:path"
import { FileId, FileInfo, type Tags } from "@opsbuddy/contract/Files"
import * as Sqlite from "@opsbuddy/runtime/Sqlite"
import { DateTime, Effect } from "effect"
import { SqlClient } from "effect/sql"

/** `folded` is the name as it is searched; times are milliseconds since 1970. */
const migrations = {
  "0001_files": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE files (
      id TEXT PRIMARY KEY, name TEXT NOT NULL, folded TEXT NOT NULL, size INTEGER NOT NULL, content_type TEXT NOT NULL,
      sha256 TEXT NOT NULL, created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID`
    yield* sql`CREATE TABLE tags (
      file TEXT NOT NULL REFERENCES files (id) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,
      PRIMARY KEY (file, key)
    ) STRICT, WITHOUT ROWID`
    yield* sql`CREATE INDEX tags_by_value ON tags (key, value, file)`
  }),
  /** `record` is 0 without a record beside the content, 1 with one that has no checksums, 2 with a complete one. */
  "0002_records": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`ALTER TABLE files ADD COLUMN revision INTEGER NOT NULL DEFAULT 1`
    yield* sql`ALTER TABLE files ADD COLUMN record INTEGER NOT NULL DEFAULT 0`
    yield* sql`CREATE INDEX files_by_record ON files (record, id) WHERE record < 2`
    yield* sql`CREATE TABLE totals (
      only INTEGER PRIMARY KEY CHECK (only = 1), files INTEGER NOT NULL, bytes INTEGER NOT NULL
    ) STRICT`
    yield* sql`INSERT INTO totals SELECT 1, count(*), coalesce(sum(size), 0) FROM files`
    yield* sql`CREATE TRIGGER files_inserted AFTER INSERT ON files BEGIN
      UPDATE totals SET files = files + 1, bytes = bytes + new.size; END`
    yield* sql`CREATE TRIGGER files_removed AFTER DELETE ON files BEGIN
      UPDATE totals SET files = files - 1, bytes = bytes - old.size; END`
  })
}

export interface Row {
  readonly id: string
  readonly name: string
  readonly size: number
  readonly content_type: string
  readonly sha256: string
  readonly created_at: number
  readonly modified_at: number
  readonly revision: number
  readonly tags: string
}

export const toInfo = (row: Row) =>
  new FileInfo({
    id: FileId.make(row.id),
    name: row.name,
    size: row.size,
    contentType: row.content_type,
    sha256: row.sha256,
    tags: JSON.parse(row.tags),
    createdAt: DateTime.makeUnsafe(row.created_at),
    modifiedAt: DateTime.makeUnsafe(row.modified_at),
    revision: row.revision
  })

/** A name as it is searched. */
export const fold = (name: string) => name.normalize("NFKC").toLowerCase()

/** How complete the record beside a content is. */
export type RecordState = 0 | 1 | 2

/** What is known about files, in SQLite. Each effect holds the event loop for one file, or for as many as it is given. */
export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const select = sql`SELECT id, name, size, content_type, sha256, created_at, modified_at, revision,
    (SELECT json_group_object(key, value) FROM tags WHERE file = id) AS tags FROM files`

  const insertTags = (id: FileId, tags: Tags) =>
    Effect.forEach(
      Object.entries(tags),
      ([key, value]) => sql`INSERT INTO tags ${sql.insert({ file: id, key, value })}`,
      { discard: true }
    )

  const insert = Effect.fnUntraced(function* (info: FileInfo, record: RecordState) {
    yield* sql`INSERT INTO files ${sql.insert({
      id: info.id,
      name: info.name,
      folded: fold(info.name),
      size: info.size,
      content_type: info.contentType,
      sha256: info.sha256,
      created_at: DateTime.toEpochMillis(info.createdAt),
      modified_at: DateTime.toEpochMillis(info.modifiedAt),
      revision: info.revision,
      record
    })}`
    yield* insertTags(info.id, info.tags)
  })

  const remove = (id: FileId) => sql`DELETE FROM files WHERE id = ${id}`

  const find = (id: FileId) =>
    Effect.map(sql<Row>`${select} WHERE id = ${id}`, ([row]) => (row === undefined ? undefined : toInfo(row)))

  const totals = Effect.map(
    sql<{ readonly files: number; readonly bytes: number; readonly database: number }>`
      SELECT files, bytes, page_count * page_size AS database FROM totals, pragma_page_count(), pragma_page_size()`,
    ([row]) => row ?? { files: 0, bytes: 0, database: 0 }
  )

  return {
    sql,
    select,
    find,
    insert,
    /** Replaces name, tags, time and revision. In a transaction. */
    update: Effect.fnUntraced(function* (info: FileInfo, tagsChanged: boolean) {
      yield* sql`UPDATE files SET name = ${info.name}, folded = ${fold(info.name)}, revision = ${info.revision},
        modified_at = ${DateTime.toEpochMillis(info.modifiedAt)} WHERE id = ${info.id}`
      if (!tagsChanged) return
      yield* sql`DELETE FROM tags WHERE file = ${info.id}`
      yield* insertTags(info.id, info.tags)
    }),
    remove,
    /** Puts what a record says in place of what is known. In a transaction. */
    replace: (info: FileInfo, record: RecordState) => Effect.andThen(remove(info.id), insert(info, record)),
    /** Notes how complete the records of these are. */
    setRecord: (ids: ReadonlyArray<string>, record: RecordState) =>
      sql`UPDATE files SET record = ${record}
        WHERE id IN (SELECT value FROM json_each(${JSON.stringify(ids)})) AND record <> ${record}`,
    /** Files whose record is that complete, in the order of their ids. */
    withRecord: (record: RecordState, after: string, limit: number) =>
      Effect.map(sql<Row>`${select} WHERE record = ${record} AND id > ${after} ORDER BY id LIMIT ${limit}`, (rows) =>
        rows.map(toInfo)
      ),
    /** All ids, in their order. */
    ids: (after: string, limit: number) =>
      Effect.map(
        sql<{ readonly id: string }>`SELECT id FROM files WHERE id > ${after} ORDER BY id LIMIT ${limit}`,
        (rows) => rows.map(({ id }) => FileId.make(id))
      ),
    /** Those of `ids` that are no file's. */
    unknown: (ids: ReadonlyArray<FileId>) =>
      Effect.map(
        sql<{ readonly id: string }>`SELECT value AS id FROM json_each(${JSON.stringify(ids)})
          WHERE NOT EXISTS (SELECT 1 FROM files WHERE id = value)`,
        (rows) => rows.map(({ id }) => FileId.make(id))
      ),
    /** How many files there are, and the bytes of all of them and of the database itself. */
    totals,
    ping: sql`SELECT id FROM files LIMIT 1`
  }
})

export type FileIndex = Effect.Success<typeof make>

/** The database in the folder. */
export const layer = (directory: string) => Sqlite.layer({ filename: join(directory, "index.db"), migrations })
