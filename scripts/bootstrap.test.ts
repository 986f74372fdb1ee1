import { spawn } from "node:child_process"
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { bunProgram, expectedPrograms, fingerprint, nodeProgram, stampFile } from "./install.mjs"

const root = join(import.meta.dirname, "..")
let workspace = ""

const write = (path: string, content: string) => {
  mkdirSync(dirname(join(workspace, path)), { recursive: true })
  writeFileSync(join(workspace, path), content)
  chmodSync(join(workspace, path), 0o755)
}

/** A Bun that builds an empty program for `scripts/build.ts`, and for anything else says its arguments. */
const bun = `#!/bin/sh
if [ "$1" = scripts/build.ts ]; then echo built >&2; mkdir -p apps/cli/dist && touch apps/cli/dist/main.js; exit; fi
echo "ran $*"
exit 7
`

/** What a script finds as `node`: npm puts the folder of the installed programs first. */
const node = `#!/bin/sh
case "$1" in scripts/bootstrap.mjs) exec ${join(root, "node_modules/.bin/node")} "$@";; esac
echo v24
`

/** A workspace of the bootstrap and one source alone, where shell scripts play Bun, Node 24 and npx. */
beforeEach(() => {
  workspace = mkdtempSync(join(tmpdir(), "opsbuddy-bootstrap-"))
  const scripts = ["bootstrap.mjs", "install.mjs", "programs.mjs", "build.ts"].map((file) => `scripts/${file}`)
  for (const file of ["package.json", "bun.lock", ...scripts]) cpSync(join(root, file), join(workspace, file))
  write("apps/cli/package.json", "{}")
  write("apps/cli/src/main.ts", "")
  mkdirSync(join(workspace, "packages"))
  write(nodeProgram, node)
  write(bunProgram, bun)
  write(stampFile, fingerprint(workspace))
  write("path/npx", "#!/bin/sh\necho npx was asked: $* >&2\nexit 9\n")
})
afterEach(() => rmSync(workspace, { recursive: true, force: true }))

const npm = (...args: ReadonlyArray<string>) => {
  const env = { ...process.env, PATH: `${workspace}/path:${process.env.PATH}`, NO_UPDATE_NOTIFIER: "1" }
  const child = spawn("npm", ["run", "--silent", ...args], { cwd: workspace, env, stdio: ["ignore", "pipe", "pipe"] })
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

describe("a script of package.json", () => {
  it("hands arguments over and returns the exit code, starting no installer when nothing changed", async () => {
    assert.deepStrictEqual(await npm("test", "--", "files").exited, {
      code: 7,
      stdout: "ran scripts/test.ts files\n",
      stderr: ""
    })
  })

  it("builds the programs when a source changed, and only then", async () => {
    const start = () => npm("start", "--", "--only", "files").exited
    const building = "opsbuddy: building the programs (a source changed)\nbuilt\n"
    const ran = { code: 7, stdout: "ran apps/cli/dist/main.js up --only files\n" }
    assert.deepStrictEqual(await start(), { ...ran, stderr: building })
    assert.deepStrictEqual(await start(), { ...ran, stderr: "" })
    write("apps/cli/src/main.ts", "// changed")
    assert.deepStrictEqual(await start(), { ...ran, stderr: building })
    write("apps/cli/src/added/More.ts", "")
    assert.deepStrictEqual(await start(), { ...ran, stderr: building })
    rmSync(join(workspace, "apps/cli/dist"), { recursive: true })
    assert.deepStrictEqual(await start(), { ...ran, stderr: building })
    assert.deepStrictEqual(await start(), { ...ran, stderr: "" })
  })

  it("starts nothing when the build fails, and builds again the next time", async () => {
    write(bunProgram, "#!/bin/sh\necho 'main.ts:1: no such thing' >&2\nexit 1\n")
    for (const _time of [1, 2]) {
      const { code, stdout, stderr } = await npm("start").exited
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.include(stderr, "main.ts:1: no such thing\nopsbuddy: scripts/build.ts failed")
    }
  })

  it("installs the pinned Bun with the frozen lockfile, then goes on, and does it only once", async () => {
    rmSync(join(workspace, "node_modules"), { recursive: true })
    write("path/bun", '#!/bin/sh\necho "ran $*"\n')
    write("path/installed-node", node)
    write(
      "path/npx",
      `#!/bin/sh
echo npx was asked: $*
mkdir -p node_modules/.bin
cp path/bun ${bunProgram}
cp path/installed-node ${nodeProgram}
`
    )
    const first = await npm("check").exited
    assert.match(first.stderr, /npx was asked: --yes bun@[\d.]+ install --frozen-lockfile/)
    assert.deepStrictEqual([first.code, first.stdout], [0, "ran scripts/check.ts\n"])
    assert.strictEqual((await npm("check").exited).stderr, "")
  })

  it("explains a failed installation and starts nothing", async () => {
    rmSync(join(workspace, "node_modules"), { recursive: true })
    const { code, stdout, stderr } = await npm("start").exited
    assert.deepStrictEqual([code, stdout], [1, ""])
    assert.match(stderr, /"npx --yes bun@.*" failed: exit code 9/)
    assert.include(stderr, "the npm registry")
    assert.isFalse(existsSync(join(workspace, "apps/cli/dist")))
  })

  it("says that a program does not run when its binary did not come with it", async () => {
    rmSync(join(workspace, "node_modules"), { recursive: true })
    const programs = expectedPrograms(workspace).map((program) => `cp path/broken ${program}`)
    write("path/broken", "#!/bin/sh\necho postinstall did not run >&2\nexit 1\n")
    write("path/npx", ["#!/bin/sh", "mkdir -p node_modules/.bin", ...programs].join("\n"))
    const { code, stderr } = await npm("start").exited
    assert.strictEqual(code, 1)
    assert.include(stderr, "node_modules/.bin/bun does not run: postinstall did not run")
  })

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`passes ${signal} on and waits for what the program makes of it`, async () => {
      write(
        bunProgram,
        `#!/bin/sh\ntrap 'echo draining; exit 3' ${signal.slice(3)}\necho ready\nfor i in $(seq 200); do sleep 0.05; done\n`
      )
      const { child, exited, printed } = npm("check")
      await printed("ready")
      child.kill(signal)
      const { code, stdout } = await exited
      assert.deepStrictEqual([code, stdout], [3, "ready\ndraining\n"])
    })
  }
})
