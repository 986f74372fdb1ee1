// Proves the project: `npm test`, `npm test -- files` (matching tests only), `npm run test:long`. Run by Bun.
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runChecks } from "./check.ts"
import type { RunResults } from "./results.ts"
import { isEmpty, line, ofProcess, sum } from "./results.ts"

interface Run {
  readonly title: string
  /** vitest's mode, which decides the files; see `vitest.config.ts`. */
  readonly mode: "test" | "e2e" | "long"
  /** Which runtime the code under test runs on; end-to-end tests start the apps on it. */
  readonly runtime: "bun" | "node"
  /** The program that runs vitest, and vitest's options that it needs. */
  readonly program: ReadonlyArray<string>
  readonly options: ReadonlyArray<string>
}

const root = join(import.meta.dirname, "..")
const onNode = { program: ["node_modules/.bin/node"], options: [] }
// vitest inside Bun needs threads: Bun's child processes do not speak its fork protocol.
const onBun = { program: [process.execPath, "--bun"], options: ["--pool=threads"] }

const long = process.argv.includes("--long")
const filters = process.argv.slice(2).filter((argument) => argument !== "--long")
const runs: ReadonlyArray<Run> = long
  ? [
      { title: "long tests on Bun", mode: "long", runtime: "bun", ...onBun },
      { title: "long tests on Node", mode: "long", runtime: "node", ...onNode }
    ]
  : [
      { title: "tests on Bun", mode: "test", runtime: "bun", ...onBun },
      { title: "tests on Node", mode: "test", runtime: "node", ...onNode },
      { title: "end to end, apps on Bun", mode: "e2e", runtime: "bun", ...onNode },
      { title: "end to end, apps on Node", mode: "e2e", runtime: "node", ...onNode }
    ]
const filtered = filters.length > 0
const folder = mkdtempSync(join(tmpdir(), "opsbuddy-test-"))
const stopping = new AbortController()
let stop = (_signal: NodeJS.Signals): void => {}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    stopping.abort()
    stop(signal)
  })
}

/** Runs vitest once, its output going straight through, and returns what it came to. */
const runTests = async (run: Run, index: number): Promise<RunResults> => {
  const file = join(folder, `${index}.json`)
  const args = [
    ...["node_modules/vitest/vitest.mjs", "run", "--mode", run.mode, ...run.options],
    ...["--reporter=default", "--reporter=./scripts/ResultsReporter.ts"],
    // Whether too little ran is judged below: a filter may well match in one run only.
    ...["--passWithNoTests", ...filters]
  ]
  const [program = "", ...programArguments] = run.program
  const child = spawn(program, [...programArguments, ...args], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, OPSBUDDY_TEST_RESULTS: file, OPSBUDDY_TEST_RUNTIME: run.runtime }
  })
  stop = (signal) => child.kill(signal)
  const exitCode = await new Promise<number>((resolve) => {
    child.on("error", (error) => {
      console.error(`${program}: ${error.message}`)
      resolve(1)
    })
    child.on("close", (code) => resolve(code ?? 1))
  })
  return ofProcess(existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined, exitCode)
}

const outcomes: Array<{ title: string; results: RunResults }> = []
if (!long && !filtered) outcomes.push({ title: "checks", results: await runChecks() })
for (const [index, run] of runs.entries()) {
  if (stopping.signal.aborted) break
  console.log(`\n== ${run.title}`)
  outcomes.push({ title: run.title, results: await runTests(run, index) })
}
rmSync(folder, { recursive: true, force: true })

// Nothing carried out proves nothing: every run must have tests, or, when filtered, one of them.
const empty = filtered
  ? outcomes.every(({ results }) => isEmpty(results))
  : outcomes.some(({ results }) => isEmpty(results))
const total = sum(outcomes.map(({ results }) => results))
console.log("")
for (const { title, results } of outcomes) {
  console.log(`${title.padEnd(26)}${line(results)}`)
  for (const { name, reason } of results.skipped) console.log(`  skipped: ${name}: ${reason ?? "no reason given"}`)
}
if (empty) console.log(`no test was carried out${filtered ? "" : " in one of the runs"}: that counts as a failure`)
if (stopping.signal.aborted) console.log("stopped before the end: that counts as a failure")
total.failed += (empty ? 1 : 0) + (stopping.signal.aborted ? 1 : 0)
console.log(line(total))
process.exitCode = total.failed === 0 ? 0 : 1
