import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { ensureInstalled, expectedPrograms, fingerprint, reasonToInstall, SetupFailed, stampFile } from "./install.mjs"

const root = join(import.meta.dirname, "..")
let workspace = ""

const write = (path: string, content: string) => {
  mkdirSync(dirname(join(workspace, path)), { recursive: true })
  writeFileSync(join(workspace, path), content)
}

/** A copy of the manifests and the lockfile that looks installed. */
beforeEach(() => {
  workspace = mkdtempSync(join(tmpdir(), "opsbuddy-install-"))
  const members = ["apps", "packages"].flatMap((parent) =>
    readdirSync(join(root, parent)).map((name) => `${parent}/${name}/package.json`)
  )
  for (const path of ["package.json", "bun.lock", ...members]) cpSync(join(root, path), join(workspace, path))
  for (const program of expectedPrograms(workspace)) write(program, "")
  write(stampFile, fingerprint(workspace))
})
afterEach(() => rmSync(workspace, { recursive: true, force: true }))

describe("the installation", () => {
  it("is left alone when the stamp is that of the lockfile and the manifests", () => {
    assert.isUndefined(reasonToInstall(workspace))
  })

  it("is repeated when the lockfile changes", () => {
    write("bun.lock", "{}")
    assert.strictEqual(reasonToInstall(workspace), "bun.lock or a package.json changed")
  })

  it("is repeated when a member's manifest changes", () => {
    write("apps/gateway/package.json", `{"name":"@opsbuddy/gateway"}`)
    assert.strictEqual(reasonToInstall(workspace), "bun.lock or a package.json changed")
  })

  it("is repeated when a member is added", () => {
    write("apps/another/package.json", `{"name":"@opsbuddy/another"}`)
    assert.strictEqual(reasonToInstall(workspace), "bun.lock or a package.json changed")
  })

  it("ignores a folder without a manifest", () => {
    mkdirSync(join(workspace, "apps/leftover"))
    assert.isUndefined(reasonToInstall(workspace))
  })

  it("is repeated when Bun is gone", () => {
    rmSync(join(workspace, "node_modules/.bin/bun"))
    assert.strictEqual(reasonToInstall(workspace), "node_modules/.bin/bun is missing")
  })

  it("is repeated when the last one did not finish", () => {
    rmSync(join(workspace, stampFile))
    assert.strictEqual(reasonToInstall(workspace), "node_modules has no stamp")
  })

  it("refuses a node_modules made by npm install, and says what to do", () => {
    rmSync(join(workspace, stampFile))
    write("node_modules/.package-lock.json", "{}")
    assert.throws(() => ensureInstalled(workspace), SetupFailed, "rm -rf node_modules")
  })
})
