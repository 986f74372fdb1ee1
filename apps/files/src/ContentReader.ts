import { createHash } from "node:crypto"
import type { FileInfo } from "@opsbuddy/contract/Files"
import { Data, Effect, FileSystem, Option, Stream } from "effect"
import * as BlockChecksums from "./BlockChecksums.ts"
import type { ContentFolder } from "./ContentFolder.ts"
import type { Range } from "./FileStore.ts"

/** The bytes on the disk are not those that were stored. `offset` is where the first block begins that is wrong, if it is known. */
export class Damage extends Data.TaggedError("Damage")<{ readonly reason: string; readonly offset?: number }> {
  override get message() {
    return this.reason
  }
}

const { blockBytes } = BlockChecksums

const cut = (block: Uint8Array, start: number, { first, last }: Range) =>
  block.subarray(Math.max(0, first - start), Math.min(block.length, last + 1 - start))

/**
 * A content that is open for reading: its size is right. `read` gives a range in pieces of up to a block, each of which has been
 * checked before it is given. Where the record has no checksums yet, only a reading of the whole is checked, before its last piece.
 */
export interface OpenContent {
  readonly read: (range: Range) => Stream.Stream<Uint8Array, Damage>
  /** The checksums of a content that has been read as a whole and is as it was stored. */
  readonly verified: Effect.Effect<Option.Option<ReadonlyArray<number>>>
}

/** Opens a content until the scope closes. Other failures of the disk while reading are damage, too. */
export const open = Effect.fnUntraced(function* (
  contents: ContentFolder,
  info: FileInfo,
  checksums: ReadonlyArray<number> | undefined
) {
  const fs = yield* FileSystem.FileSystem
  const file = yield* fs.open(contents.pathOf(info.id), { flag: "r" })
  const { size } = yield* file.stat
  if (Number(size) !== info.size) {
    return yield* new Damage({ reason: `it has ${size} bytes on disk, and had ${info.size} when it was stored` })
  }
  const block = Effect.fnUntraced(function* (number: number) {
    const start = number * blockBytes
    const buffer = Buffer.allocUnsafe(Math.min(blockBytes, info.size - start))
    for (let at = 0; at < buffer.length; ) {
      const count = yield* file
        .read(buffer.subarray(at), { position: BigInt(start + at) })
        .pipe(
          Effect.mapError((error) => new Damage({ reason: `the disk cannot read it: ${error.message}`, offset: start }))
        )
      if (count === 0) return yield* new Damage({ reason: `it ends after ${start + at} bytes`, offset: start })
      at += count
    }
    if (checksums !== undefined && checksums[number] !== BlockChecksums.ofBlock(buffer)) {
      const end = start + buffer.length - 1
      return yield* new Damage({ reason: `its bytes ${start} to ${end} are not those that were stored`, offset: start })
    }
    return buffer
  }, Effect.uninterruptible)

  let verified = Option.none<ReadonlyArray<number>>()
  /** Looks at all blocks as they pass, and lets the last one through only where the digest of the whole is right. */
  const observer = () => {
    const hash = createHash("sha256")
    const found = BlockChecksums.make()
    return Effect.fnUntraced(function* (bytes: Uint8Array, isLast: boolean) {
      hash.update(bytes)
      found.update(bytes)
      if (!isLast) return
      if (hash.digest("hex") !== info.sha256) {
        return yield* new Damage({ reason: "its digest is not that of the bytes that were stored" })
      }
      verified = Option.some(found.end())
    })
  }

  const content: OpenContent = {
    verified: Effect.sync(() => verified),
    read: (range) => {
      if (range.last < range.first) return Stream.empty
      const isWhole = range.first === 0 && range.last === info.size - 1
      const observe = checksums === undefined && isWhole ? observer() : undefined
      const last = Math.floor(range.last / blockBytes)
      return Stream.unfold(Math.floor(range.first / blockBytes), (number) =>
        number > last
          ? Effect.succeed(undefined)
          : Effect.gen(function* () {
              const bytes = yield* block(number)
              if (observe !== undefined) yield* observe(bytes, number === last)
              return [cut(bytes, number * blockBytes, range), number + 1] as const
            })
      )
    }
  }
  return content
})
