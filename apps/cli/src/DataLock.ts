import { DatabaseSync } from "node:sqlite"
import { Effect, FileSystem, Option, Path, Schedule } from "effect"
import { AlreadyRunning, DataDirectoryUnusable } from "./Refusals.ts"

/**
 * Holds the data directory, made if it is absent, for this process until the scope closes. Only one process gets it, and
 * the system frees it when that process is gone, however it went: it is SQLite's lock of `supervisor.lock`. Who has it is
 * told by `supervisor.pid` beside it.
 */
export const acquire = Effect.fn("DataLock.acquire")(function* (dataDirectory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const pidFile = path.join(dataDirectory, "supervisor.pid")
  const unusable = Effect.mapError((cause: unknown) => new DataDirectoryUnusable({ dataDirectory, cause }))
  yield* fs.makeDirectory(dataDirectory, { recursive: true }).pipe(unusable)
  yield* Effect.acquireRelease(lock(path.join(dataDirectory, "supervisor.lock")), (database) =>
    // The finalizer keeps the database: when Bun collects it as garbage, the lock is gone.
    Effect.sync(() => database.close())
  ).pipe(
    Effect.catchIf(isBusy, () => Effect.flatMap(holder(pidFile), (pid) => new AlreadyRunning({ dataDirectory, pid }))),
    Effect.catchIf(
      (error) => !(error instanceof AlreadyRunning),
      (cause) => new DataDirectoryUnusable({ dataDirectory, cause })
    )
  )
  yield* Effect.acquireRelease(fs.writeFileString(pidFile, `${process.pid}\n`).pipe(unusable), () =>
    Effect.ignore(fs.remove(pidFile))
  )
})

const lock = (file: string) =>
  Effect.try({
    try: () => {
      const database = new DatabaseSync(file)
      // Of two that ask at the same moment, one waits here until the other has it.
      database.exec("PRAGMA busy_timeout = 250")
      database.exec("PRAGMA journal_mode = MEMORY")
      database.exec("BEGIN EXCLUSIVE")
      return database
    },
    catch: (cause) => cause
  })

const sqliteBusy = 5

const isBusy = (error: unknown): error is Error =>
  error instanceof Error && "errcode" in error && error.errcode === sqliteBusy

/** The pid in the file, once it is one that lives: the holder writes it right after it got the lock. */
const holder = (pidFile: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const pid = Number.parseInt(yield* fs.readFileString(pidFile), 10)
    yield* Effect.try(() => process.kill(pid, 0))
    return pid
  }).pipe(
    Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo({ times: 10 }))),
    Effect.option,
    Effect.map(Option.getOrUndefined)
  )
