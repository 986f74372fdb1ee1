import { ByteSize } from "effect"
import { ColumnarError } from "./ColumnarError.ts"

/** What an error needs to know of the store that it comes from. */
export interface Store {
  readonly filename: string
  /** In bytes. */
  readonly memoryLimit: number
  /** The variable that sets the limit, where there is one. */
  readonly memorySetting?: string | undefined
}

export const text = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

/** The engine refuses everything after such an error until its file is opened anew. */
export const isFatal = (cause: unknown) =>
  /^(FATAL|INTERNAL) Error|database has been invalidated/.test(text(cause)) || text(cause).includes("FATAL Error:")

export const isFull = (message: string) => /No space left on device|ENOSPC|Disk quota exceeded|EDQUOT/.test(message)

const isOutOfMemory = (message: string) =>
  /^Out of Memory Error|could not allocate block|max_temp_directory_size/i.test(message)

/** The engine's error with the reason that its text stands for: the binding hands out nothing else. */
export const ofStatement = (store: Store, cause: unknown): ColumnarError => {
  const message = text(cause)
  if (isFatal(cause)) return failed(store.filename, cause)
  if (isFull(message)) return full(store.filename, cause)
  if (isOutOfMemory(message)) return memory(store, cause)
  return new ColumnarError({ reason: "statement", filename: store.filename, message, cause })
}

/** What opening the file failed with. */
export const ofOpening = (filename: string, cause: unknown): ColumnarError => {
  const message = text(cause)
  if (message.includes("Could not set lock on file")) {
    const pid = /\(PID (\d+)\)/.exec(message)?.[1]
    return locked(filename, pid === undefined ? undefined : Number(pid), cause)
  }
  if (isFull(message)) return full(filename, cause)
  return new ColumnarError({
    reason: "open",
    filename,
    message: `the database ${filename} cannot be opened: ${message}`,
    cause
  })
}

export const locked = (filename: string, pid: number | undefined, cause?: unknown) =>
  new ColumnarError({
    reason: "locked",
    filename,
    message: `the database ${filename} is in use by ${pid === undefined ? "another process" : `process ${pid}`}`,
    ...(pid === undefined ? {} : { pid }),
    ...(cause === undefined ? {} : { cause })
  })

export const closed = (filename: string, applied: "no" | "unknown" = "no") =>
  new ColumnarError({ reason: "closed", filename, message: `the database ${filename} is closing`, applied })

/** The engine itself has failed with `cause`. */
export const failed = (filename: string, cause: unknown) =>
  unavailable(
    filename,
    `the database has failed${isFull(text(cause)) ? " because the disk is full" : ""} and is being reopened`,
    cause
  )

export const unavailable = (filename: string, message: string, cause?: unknown) =>
  new ColumnarError({ reason: "unavailable", filename, message, ...(cause === undefined ? {} : { cause }) })

export const full = (filename: string, cause?: unknown) =>
  new ColumnarError({
    reason: "full",
    filename,
    message: "the disk that the database is on is full",
    ...(cause === undefined ? {} : { cause })
  })

const memory = ({ filename, memoryLimit, memorySetting }: Store, cause: unknown) => {
  const limit = ByteSize.format(ByteSize.bytes(Math.round(memoryLimit)))
  const setting = memorySetting === undefined ? "" : ` (${memorySetting})`
  return new ColumnarError({
    reason: "memory",
    filename,
    message: `more memory is needed than the database may take, which is ${limit}${setting}`,
    cause
  })
}
