import { closeSync, openSync, readFileSync, writeSync } from "node:fs"

/** The number of the latest acknowledged commit, in a file beside the database that survives a kill, though not a power cut. */
export interface CommitMark {
  /** The number when the store was opened; `undefined` where there is no file, or it does not hold one. */
  readonly found: number | undefined
  /** Puts it into the system's cache, some microseconds, without waiting for the disk. */
  write(number: number): void
  close(): void
}

/** Always as long, so that a later number needs no byte of a full disk. */
const line = (number: number) => `commits ${String(number).padStart(16, "0")}\n`

/** A mark that cannot be written is left out: `warn` learns of it once, and losses up to then are reported. */
export const open = (path: string, warn: (cause: unknown) => void): CommitMark => {
  let file: number | undefined
  let warned = false
  return {
    found: read(path),
    write(number) {
      try {
        // Without truncation, because an empty file would say nothing after a kill in between.
        file ??= openWithout(path)
        writeSync(file, line(number), 0)
      } catch (cause) {
        if (!warned) warn(cause)
        warned = true
      }
    },
    close() {
      if (file !== undefined) closeSync(file)
      file = undefined
    }
  }
}

const openWithout = (path: string) => {
  try {
    return openSync(path, "r+")
  } catch {
    return openSync(path, "w+")
  }
}

const read = (path: string) => {
  try {
    const number = /^commits (\d{16})\n/.exec(readFileSync(path, "utf8"))?.[1]
    return number === undefined ? undefined : Number(number)
  } catch {
    return undefined
  }
}
