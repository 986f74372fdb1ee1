import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
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
