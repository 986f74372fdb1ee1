import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "..")
const units = ["apps", "packages"].flatMap((parent) =>
  readdirSync(join(root, parent)).map((name) => `${parent}/${name}`)
)
const apps = units.filter((unit) => unit.startsWith("apps/")).map((unit) => unit.slice("apps/".length))

const imports = (source: string) => `import { X } from "${source}"\nexport const y = X\n`
const effectAlone = "depends on effect alone"
const noApp = /imports no app|No app imports another/
const inside = "A relative path stays inside"
const adapter = "Only App.ts and main.ts name an adapter"
const starts = "Only main.ts starts anything"

/** Files that break a rule: path, content, and what the report must say. */
const broken: ReadonlyArray<readonly [path: string, content: string, message: string | RegExp]> = [
  ["packages/contract/src/NodeFs.ts", imports("node:fs"), effectAlone],
  ["packages/contract/src/BareFs.ts", imports("fs"), effectAlone],
  ["packages/contract/src/Bun.ts", imports("bun"), effectAlone],
  ["packages/contract/src/BunSqlite.ts", imports("bun:sqlite"), effectAlone],
  ["packages/contract/src/Runtime.ts", imports("@opsbuddy/runtime/App"), effectAlone],
  ["packages/contract/src/Types.ts", `export type { X } from "node:fs"\n`, effectAlone],
  ["packages/contract/src/deep/Relative.ts", imports("../../../client/src/OpsBuddy.ts"), inside],
  ["packages/resilience/src/Contract.ts", imports("@opsbuddy/contract/Files"), effectAlone],
  ["packages/resilience/src/Dynamic.ts", `export const x = () => import("node:os")\n`, effectAlone],
  ["packages/runtime/src/Columnar.ts", imports("@opsbuddy/columnar/Database"), noApp],
  ["packages/runtime/src/Resilience.ts", imports("@opsbuddy/resilience/Breaker"), noApp],
  ["packages/client/src/Columnar.ts", imports("@opsbuddy/columnar/Database"), noApp],
  ["packages/client/src/Resilience.ts", imports("@opsbuddy/resilience/Breaker"), noApp],
  ["packages/client/src/UndeclaredOne.ts", imports("zod"), "isn't specified in packages/client/package.json"],
  ["packages/client/src/DevelopmentOnly.ts", imports("vitest"), "isn't specified in packages/client/package.json"],
  ["packages/columnar/src/Starts.ts", `export const x = Effect.runFork(y)\n`, starts],
  ["apps/gateway/src/Columnar.ts", imports("@opsbuddy/columnar/Database"), noApp],
  ["apps/analytics/src/Resilience.ts", imports("@opsbuddy/resilience/Breaker"), noApp],
  ["apps/timeseries/src/Resilience.ts", imports("@opsbuddy/resilience/Breaker"), noApp],
  ["apps/files/src/Resilience.ts", imports("@opsbuddy/resilience/Breaker"), noApp],
  ["apps/files/src/Columnar.ts", imports("@opsbuddy/columnar/Database"), noApp],
  ["apps/files/src/Relative.ts", imports("../../gateway/src/App.ts"), inside],
  ["apps/files/src/Package.ts", imports("../../../packages/contract/src/Files.ts"), inside],
  ["apps/files/src/Dynamic.ts", `export const x = () => import("../../gateway/src/App.ts")\n`, inside],
  ["apps/files/src/Manifest.ts", `export * from "../../gateway/package.json"\n`, inside],
  ["apps/files/test/Relative.test.ts", imports("../../gateway/test/Fixture.ts"), inside],
  ...["Local", "Sqlite", "DuckDB", "Influx", "S3", "Postgres"].map(
    (technology) => [`apps/files/src/Uses${technology}.ts`, imports(`./FileStore${technology}.ts`), adapter] as const
  ),
  ["apps/files/src/deep/Handlers.ts", imports("../FileStoreLocal.ts"), adapter],
  ["apps/files/src/FileStore.ts", `export type { Options } from "./FileStoreLocal.ts"\n`, adapter],
  ["apps/files/src/LazyStore.ts", `export const x = () => import("./FileStoreLocal.ts")\n`, adapter],
  ["apps/files/src/App.ts", "export const x = NodeRuntime.runMain(y)\n", starts],
  ...["runMain(y)", "Effect.runPromise(y)", "Effect.runFork(y)", "Effect.runForkWith(z)(y)", "Effect.runSync(y)"].map(
    (call, index) => [`apps/files/src/Starts${index}.ts`, `export const x = ${call}\n`, starts] as const
  ),
  ["apps/files/src/Launches.ts", "export const x = y.pipe(Layer.launch)\n", starts],
  ["apps/files/src/PassesOn.ts", "export const x = y.pipe(NodeRuntime.runMain)\n", starts],
  ...apps.flatMap((app) => [
    [`apps/cli/src/Uses-${app}.ts`, imports(`@opsbuddy/${app}/App`), noApp] as const,
    [`apps/gateway/test/Uses-${app}.test.ts`, imports(`@opsbuddy/${app}`), noApp] as const,
    [`packages/runtime/src/Uses-${app}.ts`, imports(`@opsbuddy/${app}/App`), noApp] as const
  ])
]

/** Files that look like the broken ones and are fine. */
const clean: ReadonlyArray<readonly [path: string, content: string]> = [
  ["packages/contract/src/Clean.ts", `${imports("effect/http-api")}export { Z } from "./Other.ts"\n`],
  ["packages/contract/src/deep/Clean.ts", imports("../Files.ts")],
  ["packages/contract/test/Clean.test.ts", `${imports("@effect/vitest")}export { Z } from "../src/Files.ts"\n`],
  ["packages/runtime/src/Clean.ts", `${imports("@opsbuddy/contract/Files")}export const z = Effect.runFork(y)\n`],
  ["packages/runtime/src/Builtin.ts", imports("node:sqlite")],
  ["packages/columnar/src/Clean.ts", imports("@duckdb/node-api")],
  ["apps/gateway/src/Clean.ts", imports("@opsbuddy/resilience/Breaker")],
  ["apps/analytics/src/Clean.ts", imports("@opsbuddy/columnar/Database")],
  ["apps/timeseries/src/Clean.ts", imports("@opsbuddy/columnar/Database")],
  ["apps/files/src/Clean.ts", `${imports("./FileStore.ts")}export const z = other.rerunPromise(y)\n`],
  ["apps/files/src/deep/Clean.ts", imports("../FileStore.ts")],
  [
    "apps/files/test/deep/Clean.test.ts",
    `${imports("../../src/FileStoreLocal.ts")}export const z = Effect.runFork(y)\n`
  ],
  ["apps/timeseries/src/App.ts", imports("./SeriesStoreDuckDB.ts")],
  ["apps/files/src/main.ts", `${imports("./FileStoreLocal.ts")}Layer.launch(y).pipe(NodeRuntime.runMain)\n`]
]

/** A workspace with the real configuration and manifests, and the files above instead of the real sources. */
const workspace = mkdtempSync(join(tmpdir(), "opsbuddy-rules-"))
afterAll(() => rmSync(workspace, { recursive: true, force: true }))

const reports = (() => {
  for (const path of ["biome.json", "package.json", "scripts/rules", ...units.map((unit) => `${unit}/package.json`)]) {
    cpSync(join(root, path), join(workspace, path), { recursive: true })
  }
  for (const [path, content] of [...broken, ...clean]) {
    mkdirSync(join(workspace, dirname(path)), { recursive: true })
    writeFileSync(join(workspace, path), content)
  }
  const rules = ["style/noRestrictedImports", "correctness/noUndeclaredDependencies", "plugin"]
  const biome = join(root, "node_modules/@biomejs/biome/bin/biome")
  const args = [
    biome,
    "lint",
    ...rules.map((rule) => `--only=${rule}`),
    "--max-diagnostics=none",
    "--reporter=github",
    "."
  ]
  const { stdout } = spawnSync(process.execPath, args, { cwd: workspace, encoding: "utf8" })
  return stdout.split("\n").filter((report) => report.startsWith("::"))
})()

const reportsOn = (path: string) => reports.filter((report) => report.includes(`/${path},`)).join("\n")

describe("the dependency rules", () => {
  for (const [path, , message] of broken) {
    it(`report ${path}`, () => {
      if (typeof message === "string") assert.include(reportsOn(path), message)
      else assert.match(reportsOn(path), message)
    })
  }

  for (const [path] of clean) {
    it(`allow ${path}`, () => assert.strictEqual(reportsOn(path), ""))
  }
})
