import type { FileInfo } from "@opsbuddy/contract/Files"
import { Effect } from "effect"
import type { SqlError } from "effect/sql"
import { type FileIndex, fold, type Row, toInfo } from "./FileIndex.ts"
import type { Selection } from "./FileStore.ts"

const defaultLimit = 100

/** How many rows are looked at before other requests get their turn: some milliseconds. */
const slice = 500

/** How many whole rows are read at once, with their tags. */
const readAtOnce = 100

/** Behind every id. */
const afterAll = "g"

const splitTag = (pair: string) => {
  const colon = pair.indexOf(":")
  return { key: pair.slice(0, colon), value: pair.slice(colon + 1) }
}

/** Lists files a slice at a time, so that no search holds the event loop, however many files there are. */
export const make = ({ select, sql }: FileIndex) => {
  /** The candidates before `cursor`: by the first tag where there is one, which few files may have. */
  const candidates = (cursor: string, tag: ReadonlyArray<string>) => {
    const [first] = tag
    if (first === undefined) return sql`SELECT id FROM files WHERE id < ${cursor} ORDER BY id DESC LIMIT ${slice}`
    const { key, value } = splitTag(first)
    return sql`SELECT file AS id FROM tags WHERE key = ${key} AND value = ${value} AND file < ${cursor}
      ORDER BY file DESC LIMIT ${slice}`
  }

  const conditions = ({ name, tag = [] }: Selection) => [
    ...(name === undefined ? [] : [sql`instr(folded, ${fold(name)}) > 0`]),
    ...tag.slice(1).map((pair) => {
      const { key, value } = splitTag(pair)
      return sql`EXISTS (SELECT 1 FROM tags WHERE file = files.id AND key = ${key} AND value = ${value})`
    })
  ]

  /** Matching ids among the next candidates, newest first, and from where to go on; `undefined` where there are no more. */
  const next = Effect.fnUntraced(function* (selection: Selection, cursor: string, limit: number) {
    const of = candidates(cursor, selection.tag ?? [])
    const filters = conditions(selection)
    const found = yield* filters.length === 0
      ? sql<{ readonly id: string }>`${of}`
      : sql<{ readonly id: string }>`SELECT files.id FROM (${of}) AS candidate JOIN files ON files.id = candidate.id
          WHERE ${sql.and(filters)} ORDER BY files.id DESC LIMIT ${limit}`
    if (filters.length === 0) {
      return {
        ids: found.map(({ id }) => id).slice(0, limit),
        cursor: found.length < slice ? undefined : found.at(-1)?.id
      }
    }
    const [bounds] = yield* sql<{ readonly last: string | null; readonly count: number }>`
      SELECT min(id) AS last, count(*) AS count FROM (${of})`
    const last = bounds === undefined || bounds.last === null || bounds.count < slice ? undefined : bounds.last
    return { ids: found.map(({ id }) => id), cursor: last }
  })

  const read = (ids: ReadonlyArray<string>) =>
    Effect.map(
      sql<Row>`${select} WHERE id IN (SELECT value FROM json_each(${JSON.stringify(ids)})) ORDER BY id DESC`,
      (rows) => rows.map(toInfo)
    )

  /** A page of files, newest first. */
  return Effect.fnUntraced(function* (
    selection: Selection
  ): Effect.fn.Return<{ readonly items: ReadonlyArray<FileInfo>; readonly nextCursor?: string }, SqlError.SqlError> {
    const limit = selection.limit ?? defaultLimit
    const ids: Array<string> = []
    let cursor: string | undefined = selection.cursor ?? afterAll
    while (cursor !== undefined && ids.length <= limit) {
      const found: { readonly ids: ReadonlyArray<string>; readonly cursor: string | undefined } = yield* next(
        selection,
        cursor,
        limit + 1 - ids.length
      )
      ids.push(...found.ids)
      cursor = found.cursor
      yield* Effect.yieldNow
    }
    const page = ids.slice(0, limit)
    const items: Array<FileInfo> = []
    for (let at = 0; at < page.length; at += readAtOnce) {
      items.push(...(yield* read(page.slice(at, at + readAtOnce))))
      yield* Effect.yieldNow
    }
    // The last id and not the last item: that one may have been removed meanwhile.
    const last = page.at(-1)
    return ids.length > limit && last !== undefined ? { items, nextCursor: last } : { items }
  })
}
