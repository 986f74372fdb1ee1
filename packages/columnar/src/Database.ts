import { mkdir, stat } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api"
import { ByteSize, Effect, type Scope } from "effect"
import { ColumnarError } from "./ColumnarError.ts"

export interface Options {
  /** The database's file, whose folder is made when missing, or `:memory:`. */
  readonly filename: string
  /** What the engine may hold in memory before it spills to disk. Default 128 MiB. */
  readonly memoryLimit?: ByteSize.Input
  /** Threads of the engine, for all its work together. Default 2. */
  readonly threads?: number
}

export interface Database {
  readonly connect: Effect.Effect<DuckDBConnection, ColumnarError, Scope.Scope>
  /** Bytes of the file and its write-ahead log; 0 for `:memory:`. */
  readonly size: Effect.Effect<number, ColumnarError>
}

/** Opens the file for this process alone. It is closed, but not checkpointed, with the scope. */
export const open = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Database, ColumnarError, Scope.Scope> {
  const inMemory = options.filename === ":memory:"
  const filename = inMemory ? options.filename : resolve(options.filename)
  if (!inMemory) {
    yield* Effect.tryPromise({
      try: () => mkdir(dirname(filename), { recursive: true }),
      catch: (cause) => openError(filename, cause)
    })
    yield* claim(filename)
  }
  let closed = false
  const instance = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => DuckDBInstance.create(filename, settings(options)),
      catch: (cause) => openError(filename, cause)
    }),
    (instance) =>
      Effect.sync(() => {
        closed = true
        instance.closeSync()
      })
  )
  return {
    connect: Effect.acquireRelease(
      Effect.tryPromise({
        try: () => instance.connect(),
        catch: (cause) => (closed ? closedError(filename) : openError(filename, cause))
      }),
      (connection) => Effect.sync(() => connection.closeSync())
    ),
    size: inMemory
      ? Effect.succeed(0)
      : Effect.tryPromise({
          try: async () => (await bytesOf(filename)) + (await bytesOf(`${filename}.wal`)),
          catch: (cause) => openError(filename, cause)
        })
  }
})

/** Nothing that a statement says makes the engine read other files, load code or use the network. */
const settings = ({ memoryLimit = "128 MiB", threads = 2 }: Options): Record<string, string> => ({
  threads: String(threads),
  memory_limit: `${ByteSize.fromInputUnsafe(memoryLimit)}B`,
  checkpoint_threshold: "64MiB",
  enable_external_access: "false",
  autoinstall_known_extensions: "false",
  autoload_known_extensions: "false"
})

/** The engine's lock holds between processes only: two instances in one process would destroy the file. */
const claimed = new Set<string>()

const claim = (filename: string) =>
  Effect.acquireRelease(
    Effect.suspend(() =>
      claimed.has(filename) ? Effect.fail(locked(filename, process.pid)) : Effect.sync(() => claimed.add(filename))
    ),
    () => Effect.sync(() => claimed.delete(filename))
  )

const locked = (filename: string, pid: number | undefined, cause?: unknown) =>
  new ColumnarError({
    reason: "locked",
    filename,
    message: `the database ${filename} is in use by ${pid === undefined ? "another process" : `process ${pid}`}`,
    ...(pid === undefined ? {} : { pid }),
    ...(cause === undefined ? {} : { cause })
  })

export const closedError = (filename: string) =>
  new ColumnarError({ reason: "closed", filename, message: `the database ${filename} is closing` })

const openError = (filename: string, cause: unknown) => {
  const message = cause instanceof Error ? cause.message : String(cause)
  if (message.includes("Could not set lock on file")) {
    const pid = /\(PID (\d+)\)/.exec(message)?.[1]
    return locked(filename, pid === undefined ? undefined : Number(pid), cause)
  }
  return new ColumnarError({
    reason: "open",
    filename,
    message: `the database ${filename} cannot be opened: ${message}`,
    cause
  })
}

const bytesOf = (path: string) =>
  stat(path).then(
    (info) => info.size,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return 0
      throw cause
    }
  )
