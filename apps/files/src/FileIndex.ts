import { FileId, FileInfo, type Tags } from "@opsbuddy/contract/Files"
import { DateTime, Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Selection } from "./FileStore.ts"

/** `folded` is the name as it is searched; times are milliseconds since 1970. */
export const migrations = {
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
  })
}

interface Row {
  readonly id: string
  readonly name: string
  readonly size: number
  readonly content_type: string
  readonly sha256: string
  readonly created_at: number
  readonly modified_at: number
  readonly tags: string
}

const toInfo = (row: Row) =>
  new FileInfo({
    id: FileId.make(row.id),
    name: row.name,
    size: row.size,
    contentType: row.content_type,
    sha256: row.sha256,
    tags: JSON.parse(row.tags),
    createdAt: DateTime.makeUnsafe(row.created_at),
    modifiedAt: DateTime.makeUnsafe(row.modified_at)
  })

const fold = (name: string) => name.normalize("NFKC").toLowerCase()

const defaultLimit = 100

/** What is known about files, in SQLite. */
export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const select = sql`SELECT id, name, size, content_type, sha256, created_at, modified_at,
    (SELECT json_group_object(key, value) FROM tags WHERE file = id) AS tags FROM files`

  const insertTags = (id: FileId, tags: Tags) =>
    Effect.forEach(
      Object.entries(tags),
      ([key, value]) => sql`INSERT INTO tags ${sql.insert({ file: id, key, value })}`,
      { discard: true }
    )

  const insertOne = Effect.fnUntraced(function* (info: FileInfo) {
    yield* sql`INSERT INTO files ${sql.insert({
      id: info.id,
      name: info.name,
      folded: fold(info.name),
      size: info.size,
      content_type: info.contentType,
      sha256: info.sha256,
      created_at: DateTime.toEpochMillis(info.createdAt),
      modified_at: DateTime.toEpochMillis(info.modifiedAt)
    })}`
    yield* insertTags(info.id, info.tags)
  })

  const find = (id: FileId) =>
    Effect.map(sql<Row>`${select} WHERE id = ${id}`, ([row]) => (row === undefined ? undefined : toInfo(row)))

  const conditions = ({ name, tag = [], cursor }: Selection) => [
    ...(name === undefined ? [] : [sql`instr(folded, ${fold(name)}) > 0`]),
    ...tag.map((pair) => {
      const colon = pair.indexOf(":")
      return sql`id IN (SELECT file FROM tags WHERE key = ${pair.slice(0, colon)} AND value = ${pair.slice(colon + 1)})`
    }),
    ...(cursor === undefined ? [] : [sql`id < ${cursor}`])
  ]

  return {
    find,
    /** All or none. */
    insert: (infos: ReadonlyArray<FileInfo>) =>
      sql.withTransaction(Effect.forEach(infos, insertOne, { discard: true })),
    /** A page of files, newest first. */
    list: Effect.fnUntraced(function* (selection: Selection) {
      const limit = selection.limit ?? defaultLimit
      const rows =
        yield* sql<Row>`${select} WHERE ${sql.and(conditions(selection))} ORDER BY id DESC LIMIT ${limit + 1}`
      const items = rows.slice(0, limit).map(toInfo)
      const last = items.at(-1)
      return rows.length > limit && last !== undefined ? { items, nextCursor: last.id } : { items }
    }),
    /** Gives what is known after the change, or `undefined` when there is no such file. */
    update: (id: FileId, { name, tags }: { readonly name?: string; readonly tags?: Tags }, now: DateTime.Utc) =>
      sql.withTransaction(
        Effect.gen(function* () {
          if (name !== undefined) {
            yield* sql`UPDATE files SET name = ${name}, folded = ${fold(name)} WHERE id = ${id}`
          }
          if (tags !== undefined && (yield* find(id)) !== undefined) {
            yield* sql`DELETE FROM tags WHERE file = ${id}`
            yield* insertTags(id, tags)
          }
          if (name !== undefined || tags !== undefined) {
            yield* sql`UPDATE files SET modified_at = ${DateTime.toEpochMillis(now)} WHERE id = ${id}`
          }
          return yield* find(id)
        })
      ),
    /** Whether there was such a file. */
    remove: (id: FileId) =>
      Effect.map(sql`DELETE FROM files WHERE id = ${id} RETURNING id`, (removed) => removed.length > 0),
    /** Those of `ids` that are no file's. */
    unknown: (ids: ReadonlyArray<string>) =>
      Effect.map(
        sql<{ readonly id: string }>`SELECT value AS id FROM json_each(${JSON.stringify(ids)})
          WHERE NOT EXISTS (SELECT 1 FROM files WHERE id = value)`,
        (rows) => rows.map((row) => row.id)
      ),
    /** Bytes of all files and of the database itself. */
    bytes: Effect.map(
      sql<{
        readonly bytes: number
      }>`SELECT (SELECT coalesce(sum(size), 0) FROM files) + page_count * page_size AS bytes
        FROM pragma_page_count(), pragma_page_size()`,
      ([row]) => row?.bytes ?? 0
    ),
    ping: sql`SELECT id FROM files LIMIT 1`
  }
})

export type FileIndex = Effect.Success<typeof make>
