import { spawn } from "node:child_process"
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { expectedPrograms, fingerprint, stampFile } from "./install.mjs"

const root = join(import.meta.dirname, "..")
let workspace = ""

const write = (path: string, content: string) => {
  mkdirSync(dirname(join(workspace, path)), { recursive: true })
  writeFileSync(join(workspace, path), content)
  chmodSync(join(workspace, path), 0o755)
}

/** A workspace of the bootstrap alone, where shell scripts play Bun, Node 24 and npx. */
beforeEach(() => {
  workspace = mkdtempSync(join(tmpdir(), "opsbuddy-bootstrap-"))
  for (const file of ["package.json", "bun.lock", "scripts/bootstrap.mjs", "scripts/install.mjs"]) {
    cpSync(join(root, file), join(workspace, file))
  }
  for (const folder of ["apps", "packages"]) mkdirSync(join(workspace, folder))
  for (const program of expectedPrograms(workspace)) write(program, `#!/bin/sh\necho "ran $*"\nexit 7\n`)
  write(stampFile, fingerprint(workspace))
  write("path/npx", "#!/bin/sh\necho npx was asked: $* >&2\nexit 9\n")
})
afterEach(() => rmSync(workspace, { recursive: true, force: true }))

const start = (...args: ReadonlyArray<string>) => {
  const env = { ...process.env, PATH: `${workspace}/path:${process.env.PATH}` }
  const child = spawn("node", [join(workspace, "scripts/bootstrap.mjs"), ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"]
  })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (chunk) => {
    stdout += chunk
  })
  child.stderr.on("data", (chunk) => {
    stderr += chunk
  })
  const exited = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  )
  /** Resolves once the child has printed `text`. */
  const printed = (text: string) =>
    new Promise<void>((resolve) => {
      child.stdout.on("data", () => {
        if (stdout.includes(text)) resolve()
      })
    })
  return { child, exited, printed }
}

describe("the bootstrap", () => {
  it("hands arguments over and returns the exit code, starting no installer when nothing changed", async () => {
    const { code, stdout, stderr } = await start("start", "--only", "files").exited
    assert.deepStrictEqual(
      { code, stdout, stderr },
      { code: 7, stdout: "ran apps/cli/src/main.ts up --only files\n", stderr: "" }
    )
  })

  it("names its commands when it does not know one", async () => {
    const { code, stderr } = await start("toString").exited
    assert.strictEqual(code, 64)
    assert.include(stderr, "start|gateway|files")
  })

  it("installs the pinned Bun with the frozen lockfile, then goes on, and does it only once", async () => {
    rmSync(join(workspace, "node_modules"), { recursive: true })
    const programs = expectedPrograms(workspace).map((program) => `cp path/program ${program}`)
    write("path/program", `#!/bin/sh\necho "ran $*"\n`)
    write("path/npx", ["#!/bin/sh", "echo npx was asked: $*", "mkdir -p node_modules/.bin", ...programs].join("\n"))
    const first = await start("files").exited
    assert.match(first.stderr, /npx was asked: --yes bun@[\d.]+ install --frozen-lockfile/)
    assert.deepStrictEqual([first.code, first.stdout], [0, "ran apps/files/src/main.ts\n"])
    assert.strictEqual((await start("files").exited).stderr, "")
  })

  it("explains a failed installation and starts nothing", async () => {
    rmSync(join(workspace, "node_modules"), { recursive: true })
    const { code, stdout, stderr } = await start("start").exited
    assert.deepStrictEqual([code, stdout], [1, ""])
    assert.match(stderr, /"npx --yes bun@.*" failed: exit code 9/)
    assert.include(stderr, "the npm registry")
  })

  it("says that a program does not run when its binary did not come with it", async () => {
    rmSync(join(workspace, "node_modules"), { recursive: true })
    const programs = expectedPrograms(workspace).map((program) => `cp path/broken ${program}`)
    write("path/broken", "#!/bin/sh\necho postinstall did not run >&2\nexit 1\n")
    write("path/npx", ["#!/bin/sh", "mkdir -p node_modules/.bin", ...programs].join("\n"))
    const { code, stderr } = await start("start").exited
    assert.strictEqual(code, 1)
    assert.include(stderr, "node_modules/.bin/bun does not run: postinstall did not run")
  })

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    it(`passes ${signal} on and waits for what the child makes of it`, async () => {
      write(
        "node_modules/.bin/bun",
        `#!/bin/sh\ntrap 'echo draining; exit 3' ${signal.slice(3)}\necho ready\nfor i in $(seq 200); do sleep 0.05; done\n`
      )
      const { child, exited, printed } = start("start")
      await printed("ready")
      child.kill(signal)
      const { code, stdout } = await exited
      assert.deepStrictEqual([code, stdout], [3, "ready\ndraining\n"])
    })
  }

  it("reports a child that a signal ended as 128 and the signal's number", async () => {
    write("node_modules/.bin/bun", "#!/bin/sh\nkill -9 $$\n")
    assert.strictEqual((await start("start").exited).code, 137)
  })
})
