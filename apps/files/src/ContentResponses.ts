import { ContentDamaged, type FileInfo } from "@opsbuddy/contract/Files"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Effect, FileSystem, Option, Pull, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { blockBytes } from "./BlockChecksums.ts"
import type { ContentFolder } from "./ContentFolder.ts"
import * as ContentReader from "./ContentReader.ts"
import type { Range } from "./FileStore.ts"

/** How many damaged contents are remembered. */
const maxRemembered = 1000

const whole = ({ size }: FileInfo): Range => ({ first: 0, last: size - 1 })

/** Responses of checked bytes. `save` takes the checksums of a content that had none, once it has been read as a whole. */
export const make = Effect.fnUntraced(function* <E>(
  contents: ContentFolder,
  save: (info: FileInfo, checksums: ReadonlyArray<number>) => Effect.Effect<void, E, FileSystem.FileSystem>
) {
  const health = yield* StoreHealth
  const fs = yield* FileSystem.FileSystem
  const provide = Effect.provideService(FileSystem.FileSystem, fs)
  /** By id, the offset of the block that was damaged when it was read last. */
  const damaged = new Map<string, number>()

  /** Logged and noticed once for each place. */
  const report = Effect.fnUntraced(function* (info: FileInfo, { offset = 0, reason }: ContentReader.Damage) {
    if (damaged.get(info.id) !== offset) {
      yield* health.notice(`the content of file ${info.id} is damaged: ${reason}`, { id: info.id, offset })
    }
    damaged.set(info.id, offset)
    const [oldest] = damaged.keys()
    if (damaged.size > maxRemembered && oldest !== undefined) damaged.delete(oldest)
    return new ContentDamaged({ id: info.id, detail: `the content of ${info.id} is damaged: ${reason}` })
  })

  const fail = (info: FileInfo) => (damage: ContentReader.Damage) =>
    Effect.flatMap(report(info, damage), (problem) => Effect.fail(problem))

  /** Opens a content of the right size. Where a range of it was damaged when it was read last, that is looked at again. */
  const open = Effect.fnUntraced(function* (info: FileInfo, range: Range) {
    const record = Option.getOrUndefined(yield* contents.record(info.id))
    const checksums = record?.info.sha256 === info.sha256 ? record.checksums : undefined
    const content = yield* ContentReader.open(contents, info, checksums).pipe(
      Effect.catchIf(
        (error) => error._tag === "PlatformError" && error.reason._tag === "NotFound",
        () => new ContentReader.Damage({ reason: "it is missing from the disk" })
      )
    )
    const offset = damaged.get(info.id)
    if (offset === undefined || offset > range.last || offset + blockBytes <= range.first) return content
    const last = Math.min(offset + blockBytes, info.size) - 1
    yield* Stream.runDrain(content.read(checksums === undefined ? whole(info) : { first: offset, last }))
    damaged.delete(info.id)
    return content
  }, provide)

  const opened = (info: FileInfo, range: Range) => Effect.catchTag(open(info, range), "Damage", fail(info))

  return {
    check: (info: FileInfo) => Effect.scoped(Effect.asVoid(opened(info, whole(info)))),
    of: Effect.fnUntraced(function* (info: FileInfo, range: Range) {
      const content = yield* opened(info, range)
      const length = range.last - range.first + 1
      if (length <= 0) return HttpServerResponse.uint8Array(new Uint8Array(0))
      const pull = yield* Stream.toPull(content.read(range))
      // The first block is checked before the head goes out, so that its damage is a problem and not a broken body.
      const [first] = yield* Effect.catchTag(pull, "Damage", fail(info)).pipe(
        Pull.catchDone(() => Effect.die("no block"))
      )
      // Before the last block goes out, which comes after all that could be wrong.
      const keep = Effect.gen(function* () {
        const checksums = yield* content.verified
        if (Option.isSome(checksums)) yield* Effect.ignore(provide(save(info, checksums.value)), { log: "Warn" })
      })
      yield* keep
      if (first.length === length) return HttpServerResponse.uint8Array(first)
      const rest = Stream.fromPull(Effect.succeed(pull)).pipe(
        Stream.catchTag("Damage", (damage) => Stream.fromEffect(Effect.flatMap(report(info, damage), Effect.fail))),
        Stream.tap(() => keep)
      )
      const body = Stream.concat(Stream.succeed(first), rest)
      return HttpServerResponse.stream(body, { contentLength: length })
    })
  }
})
