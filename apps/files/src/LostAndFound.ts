import type { FileId } from "@opsbuddy/contract/Files"
import { Effect, FileSystem, Option, Path } from "effect"
import type { ContentFolder } from "./ContentFolder.ts"
import * as ContentRecord from "./ContentRecord.ts"

/** `lost+found` of a folder of contents: what nobody knows, each content beside its record. Nothing in it is ever replaced. */
export const make = Effect.fnUntraced(function* (contents: ContentFolder) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { lostAndFound } = contents
  const placeOf = (id: string, suffix = "") => path.join(lostAndFound, `${id}${suffix}`)

  /** Moves unless something of that name is there; whether it did. */
  const move = Effect.fnUntraced(function* (from: string, to: string) {
    if (yield* fs.exists(to)) return false
    yield* fs.rename(from, to)
    return true
  })

  return {
    /** Takes a content and its record, if it has one. The record first: a crash in between leaves a content that the next start takes. */
    put: Effect.fnUntraced(function* (id: FileId) {
      yield* fs.makeDirectory(lostAndFound, { recursive: true })
      const record = contents.recordOf(id)
      if (yield* fs.exists(record)) yield* move(record, placeOf(id, ".json"))
      return yield* move(contents.pathOf(id), placeOf(id))
    }),
    /** Moves each content back that has a whole record of its own; gives how many were and how many stay. The content first. */
    takeBack: Effect.gen(function* () {
      const names = (yield* fs.exists(lostAndFound)) ? yield* fs.readDirectory(lostAndFound) : []
      const [taken, left] = [new Set<string>(), new Set<string>()]
      for (const name of names) {
        if (!name.endsWith(".json")) {
          left.add(name)
          continue
        }
        const file = path.join(lostAndFound, name)
        const record = Option.getOrUndefined(ContentRecord.decode(yield* fs.readFileString(file)))
        if (record === undefined || `${record.info.id}.json` !== name) continue
        const { id } = record.info
        if (yield* fs.exists(placeOf(id))) {
          if (!(yield* move(placeOf(id), contents.pathOf(id)))) continue
        } else if (!(yield* fs.exists(contents.pathOf(id)))) continue
        if (!(yield* move(file, contents.recordOf(id)))) continue
        taken.add(id)
      }
      if (names.length > 0) yield* contents.syncFolder(lostAndFound)
      return { taken: taken.size, left: [...left].filter((name) => !taken.has(name)).length }
    })
  }
})

export type LostAndFound = Effect.Success<ReturnType<typeof make>>
