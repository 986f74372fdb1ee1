/**
 * Makes one file of each program, `apps/NAME/dist/main.js`, with its bytecode beside it. Run by Bun, when
 * `scripts/bootstrap.mjs` finds that a source changed. Started so, the system takes half of the processor time to be
 * ready and a fifth less memory than from its sources, which are some five hundred modules a program.
 */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import type { BunPlugin } from "bun"
import { appFolders } from "./install.mjs"

const root = join(import.meta.dirname, "..")

/**
 * What stays outside: DuckDB loads a binary from beside itself, and the others are read only where they are needed (a
 * Redis, Node, the page of `/docs`).
 */
const outside =
  /^(?:@duckdb\/node-(?:api|bindings)|redis|@effect\/platform-node\/NodeHttpServer|.*\/internal\/httpApiSwagger\.[jt]s)$/

const leaveOutside: BunPlugin = {
  name: "outside",
  setup: (build) => {
    build.onResolve({ filter: outside }, ({ importer, path }) => ({
      path: Bun.resolveSync(path, dirname(importer)),
      external: true
    }))
  }
}

/** CommonJS has no `import.meta`, of which effect reads `import.meta?.env`: Vite's variables, which are for browsers. */
const withoutImportMeta: BunPlugin = {
  name: "without import.meta",
  setup: (build) => {
    build.onLoad({ filter: /\/effect\/dist\/ConfigProvider\.js$/ }, async ({ path }) => ({
      contents: (await Bun.file(path).text()).replaceAll("import.meta?.env", "undefined"),
      loader: "js"
    }))
  }
}

/** Builds beside the place where the files belong and moves them there: what runs meanwhile never reads half of one. */
const build = async (app: string) => {
  const dist = join(root, app, "dist")
  mkdirSync(dist, { recursive: true })
  const made = mkdtempSync(join(dist, "new-"))
  try {
    await Bun.build({
      entrypoints: [join(root, app, "src/main.ts")],
      outdir: made,
      target: "bun",
      // Bytecode is had for CommonJS alone.
      format: "cjs",
      bytecode: true,
      // For the stacks in our logs: they name the sources.
      sourcemap: "linked",
      plugins: [leaveOutside, withoutImportMeta]
    })
    for (const file of readdirSync(made)) renameSync(join(made, file), join(dist, file))
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

await Promise.all(appFolders(root).map(build))
