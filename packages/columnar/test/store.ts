import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Context, Effect, Layer } from "effect"
import { Columnar, type Options } from "../src/Columnar.ts"

/** A table `points (id BIGINT, name VARCHAR)` that refuses an id twice. */
export const migrations = {
  "1 points": "CREATE TABLE points (id BIGINT, name VARCHAR); CREATE UNIQUE INDEX ids ON points (id)"
}

/** The path of a file that does not exist, in a folder that does not either; removed with the scope. */
export const temporaryFile = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "columnar-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
).pipe(Effect.map((directory) => join(directory, "deep", "store.duckdb")))

export const layerOf = (options: Options) => Columnar.layer(options).pipe(Layer.provideMerge(StoreHealth.layer))

/** Opens the store until the scope closes. */
export const open = (filename: string, more: { readonly [name: string]: string } = {}) =>
  Effect.map(Layer.build(layerOf({ filename, migrations: { ...migrations, ...more } })), Context.get(Columnar))

export const inMemory = layerOf({ filename: ":memory:", migrations })

/** A process that writes to `filename`; killed with the scope. `acknowledged` grows while it runs. */
export const writerProcess = (filename: string, first: number, writers = 16) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        [fileURLToPath(new URL("writer.child.ts", import.meta.url)), filename, String(first), String(writers)],
        {
          stdio: ["ignore", "pipe", "inherit"]
        }
      )
      const acknowledged: Array<number> = []
      const lines = createInterface({ input: child.stdout })
      lines.on("line", (line) => acknowledged.push(Number(line)))
      const exited = once(lines, "close")
      return { child, acknowledged, lines, exited }
    }),
    ({ child, exited }) =>
      Effect.promise(() => {
        child.kill("SIGKILL")
        return exited
      })
  )

export const acknowledgedAtLeast = (writer: Effect.Success<ReturnType<typeof writerProcess>>, least: number) =>
  Effect.callback<void>((resume) => {
    const check = () => {
      if (writer.acknowledged.length >= least) resume(Effect.void)
    }
    check()
    writer.lines.on("line", check)
    return Effect.sync(() => writer.lines.off("line", check))
  })

/** Kills a process that writes one row a commit once `least` are acknowledged, and answers how many were. */
export const killedWith = (filename: string, least: number) =>
  Effect.map(
    Effect.scoped(
      Effect.tap(writerProcess(filename, least * 1_000_000, 1), (writer) => acknowledgedAtLeast(writer, least))
    ),
    (writer) => writer.acknowledged.length
  )
