// What `npm start`, `npm test` and the other scripts run: plain JavaScript for Node 20, before anything is installed.
import { spawn } from "node:child_process"
import { constants } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { isatty } from "node:tty"
import { fileURLToPath } from "node:url"
import { bunProgram, ensureInstalled, InstallFailed, nodeProgram } from "./install.mjs"

/** What each command hands over to, relative to the workspace's root; the caller's arguments follow. */
/** @type {Record<string, readonly [program: string, ...args: string[]]>} */
const commands = {
  start: [bunProgram, "apps/cli/src/main.ts", "up"],
  gateway: [bunProgram, "apps/gateway/src/main.ts"],
  files: [bunProgram, "apps/files/src/main.ts"],
  utility: [bunProgram, "apps/utility/src/main.ts"],
  analytics: [bunProgram, "apps/analytics/src/main.ts"],
  timeseries: [bunProgram, "apps/timeseries/src/main.ts"],
  check: [bunProgram, "scripts/check.ts"],
  test: [bunProgram, "scripts/test.ts"],
  "test:long": [bunProgram, "scripts/test.ts", "--long"],
  coverage: [nodeProgram, "node_modules/vitest/vitest.mjs", "run", "--coverage"],
  format: [bunProgram, "node_modules/@biomejs/biome/bin/biome", "check", "--write", "."]
}

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [name = "", ...args] = process.argv.slice(2)
const command = Object.hasOwn(commands, name) ? commands[name] : undefined

if (command === undefined) {
  console.error(`usage: node scripts/bootstrap.mjs ${Object.keys(commands).join("|")} [arguments]`)
  process.exit(64)
}
try {
  ensureInstalled(root)
} catch (error) {
  if (!(error instanceof InstallFailed)) throw error
  console.error(`opsbuddy: ${error.message}`)
  process.exit(1)
}
handOver(command[0], [...command.slice(1), ...args])

/**
 * Runs `program` in place of this process as far as that is possible: same terminal, same signals, its exit code. Waits
 * for it however it is asked to stop.
 * @param {string} program
 * @param {string[]} args
 */
function handOver(program, args) {
  const path = `${join(root, "node_modules/.bin")}${delimiter}${process.env.PATH ?? ""}`
  // A terminal sends Ctrl-C and its hang-up to the whole foreground process group: the child has that signal already.
  const onTerminal = isatty(0) || isatty(1) || isatty(2)
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT", "SIGHUP"])) {
    process.on(signal, () => (onTerminal && signal !== "SIGTERM") || child.kill(signal))
  }
  // Started after the handlers are in place, so that no signal can end this process and leave the child behind.
  // A gateway that is started alone needs it as well: Bun makes 256 requests at once otherwise.
  const env = { BUN_CONFIG_MAX_HTTP_REQUESTS: "65535", ...process.env, PATH: path }
  const child = spawn(join(root, program), args, { cwd: root, stdio: "inherit", env })
  child.on("error", (error) => {
    console.error(`opsbuddy: ${program} does not start: ${error.message}`)
    process.exit(1)
  })
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal ?? "SIGKILL"]))
}
