import { copyFile, mkdir, readdir, readlink, realpath, rename, rm, stat, statfs, truncate } from "node:fs/promises"
import { dirname } from "node:path"
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api"
import { Clock, Duration, Effect } from "effect"
import type { ColumnarError } from "./ColumnarError.ts"
import * as EngineErrors from "./EngineErrors.ts"
import { blockBytes, machineMemory } from "./Settings.ts"

/** A store's file and what its engine may take. `filename` is absolute or `:memory:`. */
export interface Source extends EngineErrors.Store {
  readonly threads: number
  readonly checkpointInCommit?: string | undefined
}

export interface Opened {
  readonly instance: DuckDBInstance
  readonly writer: DuckDBConnection
  /** What was found wrong with the file, a sentence each. */
  readonly notices: ReadonlyArray<string>
  /** Whether the memory limit holds already. */
  readonly isLimited: boolean
}

export const isInMemory = ({ filename }: EngineErrors.Store) => filename === ":memory:"

/** Replaying the log needs more memory than writing it did, because nothing is checkpointed in between. */
const replayMemory = (source: Source) => Math.max(source.memoryLimit, Math.floor(machineMemory() * 0.7))

/**
 * Opens the file: replays its log with as much memory as the machine has, moves the log into the file where `checkpoint` says so
 * and the disk has room, and then lowers the limit. A log that is damaged is replayed up to the damage, and a copy of it is kept.
 */
export const open = Effect.fnUntraced(function* (
  source: Source,
  options: { readonly checkpoint: boolean }
): Effect.fn.Return<Opened, ColumnarError> {
  const { filename } = source
  const failed = (cause: unknown) => EngineErrors.ofOpening(filename, cause)
  if (!isInMemory(source)) {
    yield* Effect.tryPromise({ try: () => mkdir(dirname(filename), { recursive: true }), catch: failed })
  }
  const notices: Array<string> = []
  const isNew = !isInMemory(source) && (yield* setAside(source, notices))
  const logBytes = yield* Effect.tryPromise({ try: () => bytesOfLog(source), catch: failed })
  const started = yield* Clock.monotonicTimeNanos
  const instance = yield* create(source, { isNew, hasLog: logBytes > 0 }, notices)
  const writer = yield* Effect.tryPromise({ try: () => instance.connect(), catch: failed }).pipe(
    Effect.onError(() => Effect.sync(() => instance.closeSync()))
  )
  let isLimited = false
  const run = (sql: string) => Effect.tryPromise({ try: () => writer.run(sql), catch: failed })
  const settle = Effect.gen(function* () {
    yield* run("PRAGMA disable_checkpoint_on_shutdown")
    if (logBytes > 0) {
      const now = yield* Clock.monotonicTimeNanos
      yield* Effect.logInfo("database log replayed", {
        filename,
        bytes: logBytes,
        duration: Duration.format(Duration.millis(Number((now - started) / 1_000_000n)))
      })
      if (options.checkpoint && (yield* hasRoom(source))) {
        // The engine refuses everything after a checkpoint that failed, so the file is opened again without one.
        const done = yield* Effect.exit(run("CHECKPOINT"))
        if (done._tag === "Failure") return "again" as const
      }
    }
    isLimited = yield* limit(source, writer)
    return "open" as const
  }).pipe(Effect.onError(() => Effect.sync(() => close({ instance, writer }))))
  if ((yield* settle) === "open") return { instance, writer, notices, isLimited }
  close({ instance, writer })
  const again = yield* open(source, { checkpoint: false })
  return { ...again, notices: [...notices, ...again.notices] }
})

/**
 * Lowers the memory limit to what it is to be, and locks the settings. Answers `false` as long as more is held, which may be so after
 * a log was replayed, until a checkpoint.
 */
export const limit = (source: Source, writer: DuckDBConnection) =>
  Effect.promise(() =>
    writer.run(`SET memory_limit = '${source.memoryLimit}B'; SET lock_configuration = true`).then(
      () => true,
      () => false
    )
  )

export const close = ({ instance, writer }: Pick<Opened, "instance" | "writer">) => {
  writer.closeSync()
  instance.closeSync()
}

const create = (
  source: Source,
  file: { readonly isNew: boolean; readonly hasLog: boolean },
  notices: Array<string>
): Effect.Effect<DuckDBInstance, ColumnarError> =>
  Effect.tryPromise({
    try: () =>
      DuckDBInstance.create(source.filename, {
        threads: String(source.threads),
        memory_limit: `${file.hasLog ? replayMemory(source) : source.memoryLimit}B`,
        // Never within a commit: a checkpoint that fails makes the engine refuse everything.
        checkpoint_threshold: source.checkpointInCommit ?? "1TiB",
        enable_external_access: "false",
        autoinstall_known_extensions: "false",
        autoload_known_extensions: "false",
        ...(file.isNew ? { default_block_size: String(blockBytes) } : {})
      }),
    catch: (cause) => cause
  }).pipe(
    Effect.catch((cause) => {
      const message = EngineErrors.text(cause)
      const log = /replaying WAL file "([^"]+)"/.exec(message)?.[1]
      const position = /Corrupt WAL file: entry at byte position (\d+)/.exec(message)?.[1]
      if (log === undefined || position === undefined)
        return Effect.fail(EngineErrors.ofOpening(source.filename, cause))
      return Effect.andThen(cut(source, log, Number(position), notices), create(source, file, notices))
    })
  )

/** The engine writes three of these before it takes a file for a database. */
const headerBytes = 4096

/**
 * Whether the file is to be made. One whose making was cut off, by a kill or a full disk, never had contents and goes out of the
 * way; so does a log without its file, which the engine would delete.
 */
const setAside = Effect.fnUntraced(function* ({ filename }: Source, notices: Array<string>) {
  const suffix = yield* Clock.currentTimeMillis
  return yield* Effect.tryPromise({
    try: async () => {
      const bytes = await bytesOf(filename)
      if (bytes >= 3 * headerBytes) return false
      if (bytes === 0) await rm(filename, { force: true })
      else await rename(filename, `${filename}.incomplete-${suffix}`)
      const log = `${filename}.wal`
      if ((await bytesOf(log)) > 0) {
        await rename(log, `${log}.orphaned-${suffix}`)
        notices.push(`the log ${log} has lost its database and is kept as ${log}.orphaned-${suffix}`)
      }
      return true
    },
    catch: (cause) => EngineErrors.ofOpening(filename, cause)
  })
})

/** Keeps a copy of the damaged log and cuts it where the damage begins, which the engine takes for a commit that never ended. */
const cut = Effect.fnUntraced(function* ({ filename }: Source, log: string, position: number, notices: Array<string>) {
  const copy = `${log}.damaged-${yield* Clock.currentTimeMillis}`
  yield* Effect.tryPromise({
    try: async () => {
      const { size } = await stat(log)
      // Otherwise it would be tried again and again.
      if (position >= size) throw new Error(`the log ${log} is damaged`)
      await copyFile(log, copy)
      await truncate(log, position)
      notices.push(
        `the database log was damaged at byte ${position} of ${size}: what was before it is kept, and the whole log is in ${copy}`
      )
    },
    catch: (cause) => EngineErrors.ofOpening(filename, cause)
  })
})

/** A checkpoint writes what changed beside what it replaces; the compressed blocks are seldom more than half of the log. */
export const hasRoom = (source: Source) =>
  Effect.promise(async () => {
    const [free, log] = await Promise.all([freeBytes(source), bytesOfLog(source)])
    return free > log / 2 + 2 ** 20
  })

/** Bytes that may still be written to the disk that the file is on. */
export const freeBytes = async (store: EngineErrors.Store) => {
  if (isInMemory(store)) return Number.POSITIVE_INFINITY
  return statfs(dirname(store.filename)).then(
    ({ bavail, bsize }) => bavail * bsize,
    // Then the write that follows finds out.
    () => Number.POSITIVE_INFINITY
  )
}

/** Bytes of the logs, of which there are several while a checkpoint runs, or after it was cut off. */
export const bytesOfLog = async (store: EngineErrors.Store) =>
  isInMemory(store) ? 0 : sum(["", ".checkpoint", ".recovery"].map((suffix) => `${store.filename}.wal${suffix}`))

/** Bytes of the file and its logs. */
export const bytesOfAll = async (store: EngineErrors.Store) =>
  isInMemory(store) ? 0 : (await bytesOf(store.filename)) + (await bytesOfLog(store))

const sum = async (paths: ReadonlyArray<string>) => {
  const sizes = await Promise.all(paths.map(bytesOf))
  return sizes.reduce((total, size) => total + size, 0)
}

const bytesOf = (path: string) =>
  stat(path).then(
    (info) => info.size,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return 0
      throw cause
    }
  )

/**
 * Whether this process still has the file open: the engine closes it when nothing of it is held any longer. Two instances of one
 * file in a process would destroy it. Where the system does not tell, `false`.
 */
export const isHeld = async ({ filename }: EngineErrors.Store) => {
  const files = await readdir("/proc/self/fd").catch(() => [])
  const targets = await Promise.all(files.map((file) => readlink(`/proc/self/fd/${file}`).catch(() => "")))
  const path = await realpath(filename).catch(() => filename)
  return targets.includes(path)
}
