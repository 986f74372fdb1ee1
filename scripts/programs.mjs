import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { appFolders, bunProgram, stampFile as installedStamp, SetupFailed, workspaceFolders } from "./install.mjs"

const builder = "scripts/build.ts"
const stampFile = "node_modules/.opsbuddy-built"

/**
 * Makes sure that the programs in `apps/NAME/dist` are those of the present sources. Compares a stamp first, which takes
 * some 10 ms, so that nothing is built when nothing changed. Writes to stderr only.
 * @param {string} root
 */
export function ensureBuilt(root) {
  const sources = sourcesFingerprint(root)
  const stamp = join(root, stampFile)
  const built = appFolders(root).every((app) => existsSync(join(root, app, "dist/main.js")))
  if (built && existsSync(stamp) && readFileSync(stamp, "utf8") === sources) return
  // Until the build is whole: it may end halfway, and the sources be put back to what the stamp says.
  rmSync(stamp, { force: true })
  console.error("opsbuddy: building the programs (a source changed)")
  const result = spawnSync(join(root, bunProgram), [builder], { cwd: root, stdio: ["ignore", 2, 2] })
  if (result.status !== 0) throw new SetupFailed(`${builder} failed; its own message is above`)
  writeFileSync(stamp, sources)
}

/**
 * Hex SHA-256 over everything that decides what a build makes: where the workspace is, for its path is in the programs,
 * what is installed (as `ensureInstalled` has just noted), the sources, and the builder.
 * @param {string} root
 */
function sourcesFingerprint(root) {
  const hash = createHash("sha256")
    .update(`${root}\0`)
    .update(readFileSync(join(root, installedStamp)))
    .update("\0")
  const files = workspaceFolders(root).flatMap((folder) =>
    readdirSync(join(root, folder, "src"), { recursive: true, encoding: "utf8" })
      .map((file) => join(root, folder, "src", file))
      .filter((file) => statSync(file).isFile())
      .sort()
  )
  for (const file of [join(root, builder), ...files]) {
    hash
      .update(`${relative(root, file)}\0`)
      .update(readFileSync(file))
      .update("\0")
  }
  return hash.digest("hex")
}
