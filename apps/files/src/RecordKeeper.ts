import type { FileInfo } from "@opsbuddy/contract/Files"
import { SqliteStore } from "@opsbuddy/runtime/SqliteStore"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Effect, Option, Stream } from "effect"
import type { ContentFolder } from "./ContentFolder.ts"
import * as ContentReader from "./ContentReader.ts"
import type { ContentRecord } from "./ContentRecord.ts"
import type { FileIndex, RecordState } from "./FileIndex.ts"

/** How many files are taken from the index at once. */
const batch = 20

/** Runs an effect while nobody else changes the file. */
type Exclusively = <A, E, R>(id: string, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Gives each content the complete record that an earlier version has not written: first a record without checksums for all, then
 * checksums, for which each content is read and compared with its digest. Takes up where an earlier process has stopped.
 */
export const make = Effect.fnUntraced(function* (contents: ContentFolder, index: FileIndex, exclusively: Exclusively) {
  const health = yield* StoreHealth
  const { read, write } = yield* SqliteStore

  const save = Effect.fnUntraced(function* (record: ContentRecord, state: RecordState) {
    const { id } = record.info
    const present = yield* read(index.find(id))
    if (present === undefined) return
    const checksums = record.checksums ?? Option.getOrUndefined(yield* contents.record(id))?.checksums
    const replace = yield* contents.prepareRecord({ info: present, ...(checksums === undefined ? {} : { checksums }) })
    yield* replace
    yield* write(index.setRecord([id], checksums === undefined ? state : 2))
  }, Effect.scoped)

  const verify = Effect.fnUntraced(function* (info: FileInfo) {
    const content = yield* ContentReader.open(contents, info, undefined)
    yield* Stream.runDrain(content.read({ first: 0, last: info.size - 1 }))
    const checksums = info.size === 0 ? Option.some([]) : yield* content.verified
    if (Option.isNone(checksums)) return
    yield* exclusively(info.id, save({ info, checksums: checksums.value }, 2))
  }, Effect.scoped)

  const each = Effect.fnUntraced(function* <E, R>(
    state: RecordState,
    visit: (info: FileInfo) => Effect.Effect<void, E, R>
  ) {
    let after = ""
    for (;;) {
      const infos = yield* read(index.withRecord(state, after, batch))
      for (const info of infos) yield* visit(info)
      const last = infos.at(-1)
      if (last === undefined) return
      after = last.id
    }
  })

  const all = Effect.gen(function* () {
    yield* each(0, (info) => exclusively(info.id, save({ info }, 1)))
    yield* each(1, (info) =>
      verify(info).pipe(
        Effect.catchTag("Damage", ({ message }) =>
          health.notice(`the content of file ${info.id} is damaged: ${message}`, { id: info.id })
        ),
        // It is missing, which the start has reported.
        Effect.catchTag("PlatformError", () => Effect.void)
      )
    )
  })

  return {
    /** For as long as the scope is open. A failure ends it until the next start. */
    inBackground: all.pipe(
      Effect.catch((error) => Effect.logWarning("records of older contents are not complete yet", { error })),
      Effect.forkScoped
    ),
    save: (info: FileInfo, checksums: ReadonlyArray<number>) => exclusively(info.id, save({ info, checksums }, 2))
  }
})
