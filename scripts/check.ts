import { spawn } from "node:child_process"
import { join } from "node:path"
import type { RunResults } from "./results.ts"
import { line, sum } from "./results.ts"

const root = join(import.meta.dirname, "..")
const biome = "node_modules/@biomejs/biome/bin/biome"
const onTerminal = process.stdout.isTTY === true
const colors = `--colors=${onTerminal ? "force" : "off"}`
const importRules = ["style/noRestrictedImports", "correctness/noUndeclaredDependencies", "plugin"]

/** Each check by name: the arguments that Bun runs it with. `rules` are the dependency rules, `lint` all the others. */
const checks: Record<string, ReadonlyArray<string>> = {
  types: ["node_modules/typescript/bin/tsc", "--noEmit", "--pretty", String(onTerminal)],
  lint: [biome, "ci", colors, "--error-on-warnings", ...importRules.map((rule) => `--skip=${rule}`), "."],
  rules: [biome, "lint", colors, "--error-on-warnings", ...importRules.map((rule) => `--only=${rule}`), "."]
}

/** Runs all checks at once, prints what the failed ones said and one line for each. Each counts as one result. */
export const runChecks = async (): Promise<RunResults> => {
  const outcomes = await Promise.all(Object.entries(checks).map(([name, args]) => runCheck(name, args)))
  for (const { failed, output } of outcomes) if (failed) console.log(output)
  for (const { name, failed, seconds } of outcomes) {
    console.log(`${name.padEnd(6)} ${failed ? "failed" : "ok    "} ${seconds.toFixed(1)} s`)
  }
  return sum(outcomes.map(({ failed }) => ({ passed: failed ? 0 : 1, failed: failed ? 1 : 0, skipped: [] })))
}

const runCheck = (name: string, args: ReadonlyArray<string>) => {
  const start = performance.now()
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
  const chunks: Array<Buffer> = []
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk))
  const outcome = (failed: boolean, output: string) => ({
    name,
    failed,
    output,
    seconds: (performance.now() - start) / 1000
  })
  return new Promise<ReturnType<typeof outcome>>((resolve) => {
    child.on("error", (error) => resolve(outcome(true, error.message)))
    child.on("close", (code) => resolve(outcome(code !== 0, Buffer.concat(chunks).toString())))
  })
}

if (import.meta.main) {
  const results = await runChecks()
  console.log(line(results))
  process.exitCode = results.failed === 0 ? 0 : 1
}
