import * as fs from "node:fs"
import { Effect, type Scope } from "effect"

/**
 * The number of the last commit that was acknowledged, kept in a file beside the database and not in it: a database that has a
 * lower number has lost commits. SQLite itself says nothing when it drops the end of a damaged log.
 */
export interface CommitMark {
  /** As it was when the file was opened; `undefined` where there was none that can be read. */
  readonly found: number | undefined
  /** Replaces the number. Not synchronised: it survives the process, and after a power cut an older number raises no alarm. */
  readonly write: (commit: number) => Effect.Effect<void>
}

/** A store in memory loses all with the process. */
export const none: CommitMark = { found: undefined, write: () => Effect.void }

const digits = 16
const form = new RegExp(`^\\d{${digits}}\\n$`)

/** Opens the file, which has one line: the number in 16 digits. Where that cannot be, nothing is noted. */
export const open = (file: string): Effect.Effect<CommitMark, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.option(Effect.try(() => fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600))),
    (descriptor) => (descriptor._tag === "None" ? Effect.void : Effect.sync(() => fs.closeSync(descriptor.value)))
  ).pipe(
    Effect.flatMap((descriptor) =>
      descriptor._tag === "None" ? Effect.succeed(none) : Effect.sync(() => make(descriptor.value))
    )
  )

const make = (descriptor: number): CommitMark => {
  const text = Buffer.alloc(digits + 2)
  const length = fs.readSync(descriptor, text, 0, text.length, 0)
  const found = text.toString("latin1", 0, length)
  return {
    found: form.test(found) ? Number(found) : undefined,
    write: (commit) =>
      // In place and of the same length, so that it needs no room after the first time.
      Effect.ignore(Effect.try(() => fs.writeSync(descriptor, `${String(commit).padStart(digits, "0")}\n`, 0)))
  }
}
