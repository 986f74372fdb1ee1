import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { Effect, type Scope } from "effect"

/** Room on the disk that is held for what must work with no free byte: removing things, and what operators do. */
export interface Reserve {
  /** Gives one slice back to the disk, and tells how many bytes are left; `undefined` where there was none to give. */
  readonly release: Effect.Effect<number | undefined>
  /** Takes back what is missing as long as `leave` bytes stay free beside it; whether nothing is missing any more. */
  readonly refill: (leave: number) => Effect.Effect<boolean>
  /** Whether the disk takes not one page more, found out by writing one. */
  readonly isDiskFull: Effect.Effect<boolean>
  /** Whether the disk has room for ordinary writes again: the reserve is whole and something is free beside it. */
  readonly hasRoom: Effect.Effect<boolean>
}

/**
 * In bytes. Enough to copy a whole log into a database that has to grow for it, after which the log's own room can be used again and
 * again: `walPages` and one more transaction of a megabyte or two.
 */
const size = 4 * 1024 * 1024
const slice = 512 * 1024
const page = 4096

/** What a checkpoint that does not come to its end must leave of the reserve to the change itself. */
export const leftToChange = 2 * slice

/** What has to be free beside the reserve before it takes anything, and before the disk does not count as full any more. */
export const margin = 1024 * 1024

/** A store in memory has no disk. */
export const none: Reserve = {
  release: Effect.succeed(undefined),
  refill: () => Effect.succeed(true),
  isDiskFull: Effect.succeed(false),
  hasRoom: Effect.succeed(true)
}

/** No zeros, which some file systems do not store. */
const filling = randomBytes(slice)

/**
 * The reserve in `file`, filled as far as the disk has room. A file that is there is taken over as it is, unless it has holes:
 * then it holds nothing.
 */
export const open = (file: string): Effect.Effect<Reserve, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.option(Effect.try(() => fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600))),
    (descriptor) => (descriptor._tag === "None" ? Effect.void : Effect.sync(() => fs.closeSync(descriptor.value)))
  ).pipe(
    Effect.flatMap((descriptor) => (descriptor._tag === "None" ? Effect.succeed(none) : make(file, descriptor.value)))
  )

const make = Effect.fnUntraced(function* (file: string, descriptor: number) {
  const bytes = () => fs.fstatSync(descriptor).size
  const free = () => {
    const { bavail, bsize } = fs.statfsSync(file)
    return bavail * bsize
  }
  /** Adds bytes at the end, or fails and leaves the end where it was. */
  const extend = (by: number) => {
    const end = bytes()
    return Effect.try(() => {
      for (let written = 0; written < by; )
        written += fs.writeSync(descriptor, filling, written, by - written, end + written)
    }).pipe(Effect.tapError(() => Effect.sync(() => fs.ftruncateSync(descriptor, end))))
  }
  const refill = Effect.fnUntraced(function* (leave: number) {
    for (;;) {
      const missing = size - bytes()
      const room = Math.floor((free() - leave) / page) * page
      if (missing <= 0 || room <= 0) return missing <= 0
      yield* extend(Math.min(slice, missing, room))
    }
  })
  const reserve: Reserve = {
    release: Effect.sync(() => {
      const end = bytes()
      if (end === 0) return undefined
      const left = Math.max(0, end - slice)
      fs.ftruncateSync(descriptor, left)
      return left
    }),
    refill: (leave) => Effect.orElseSucceed(refill(leave), () => false),
    isDiskFull: Effect.suspend(() => {
      const end = bytes()
      return extend(page).pipe(
        Effect.tap(() => Effect.sync(() => fs.ftruncateSync(descriptor, end))),
        Effect.match({ onSuccess: () => false, onFailure: isNoSpace })
      )
    }),
    hasRoom: Effect.suspend(() => Effect.map(reserve.refill(margin), (isWhole) => isWhole && free() >= margin))
  }
  const { blocks, size: length } = fs.fstatSync(descriptor)
  if (blocks * 512 < length) fs.ftruncateSync(descriptor, 0)
  yield* reserve.refill(margin)
  return reserve
})

/** A quota is a full disk, too. */
const isNoSpace = ({ cause }: { readonly cause?: unknown }) =>
  cause instanceof Error && "code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT")
