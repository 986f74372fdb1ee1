import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** An installation or a build that cannot go on; the message says what to do and is all that the user needs to see. */
export class SetupFailed extends Error {}

/**
 * Makes sure that the workspace at `root` is installed exactly as `bun.lock` says. Compares a stamp inside
 * `node_modules` first, so that nothing is started when nothing changed. Writes to stderr only.
 * @param {string} root
 */
export function ensureInstalled(root) {
  const reason = reasonToInstall(root)
  if (reason === undefined) return
  if (existsSync(join(root, "node_modules/.package-lock.json"))) throw new SetupFailed(npmInstallWasUsed)
  install(root, reason)
  verify(root)
  writeFileSync(join(root, stampFile), fingerprint(root))
}

/**
 * Why an installation is needed, or `undefined` when the one in place is that of the present lockfile and manifests.
 * @param {string} root
 * @returns {string | undefined}
 */
export function reasonToInstall(root) {
  const missing = expectedPrograms(root).find((program) => !existsSync(join(root, program)))
  if (missing !== undefined) return `${missing} is missing`
  const stamp = join(root, stampFile)
  if (!existsSync(stamp)) return "node_modules has no stamp"
  return readFileSync(stamp, "utf8") === fingerprint(root) ? undefined : "bun.lock or a package.json changed"
}

/**
 * Hex SHA-256 over everything that decides what an installation brings: the lockfile, every manifest, the platform.
 * @param {string} root
 */
export function fingerprint(root) {
  const hash = createHash("sha256").update(`${process.platform}-${process.arch}\0`)
  for (const folder of ["", ...workspaceFolders(root)]) {
    hash
      .update(`${folder}\0`)
      .update(readFileSync(join(root, folder, "package.json")))
      .update("\0")
  }
  return hash.update(readFileSync(join(root, "bun.lock"))).digest("hex")
}

/**
 * Programs that an installation brings, relative to `root`: always Bun, and Node 24 where npm has it for this platform.
 * @param {string} root
 */
export function expectedPrograms(root) {
  const nodePackage = `node-${process.platform}-${process.arch}`
  const hasNode = Object.hasOwn(manifest(root).optionalDependencies ?? {}, nodePackage)
  return hasNode ? [bunProgram, nodeProgram] : [bunProgram]
}

export const bunProgram = "node_modules/.bin/bun"
export const nodeProgram = "node_modules/.bin/node"
export const stampFile = "node_modules/.opsbuddy-installed"

const npmInstallWasUsed = `node_modules was made by "npm install", which does not install this workspace: bun.lock decides here.
Remove it and start again:

  rm -rf node_modules package-lock.json && npm start`

/**
 * @param {string} root
 * @param {string} reason
 */
function install(root, reason) {
  const version = manifest(root).dependencies.bun
  console.error(`opsbuddy: installing with Bun ${version} (${reason})`)
  const installArguments = ["install", "--frozen-lockfile"]
  const [command, args] =
    installedBunVersion(root) === version
      ? [join(root, bunProgram), installArguments]
      : ["npx", ["--yes", `bun@${version}`, ...installArguments]]
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] })
  if (result.status === 0) return
  const cause = result.error?.message ?? (result.signal === null ? `exit code ${result.status}` : result.signal)
  throw new SetupFailed(`"${[command, ...args].join(" ")}" failed: ${cause}. Its own message is above.
- No network? The first installation needs the npm registry (or the one in your .npmrc).
- "lockfile had changes"? A package.json and bun.lock differ: run "${bunProgram} install" and commit bun.lock.`)
}

/**
 * Runs what was installed: a postinstall script that did not run leaves a Bun that does not start.
 * @param {string} root
 */
function verify(root) {
  for (const program of expectedPrograms(root)) {
    const result = spawnSync(join(root, program), ["--version"], { encoding: "utf8" })
    if (result.status !== 0) {
      throw new SetupFailed(`the installation finished, but ${program} does not run: ${
        result.error?.message ?? result.stderr
      }
Remove node_modules and start again; if that does not help, Bun's binary could not be had for ${process.platform}-${process.arch}.`)
    }
  }
}

/**
 * @param {string} root
 * @returns {string | undefined}
 */
function installedBunVersion(root) {
  const result = spawnSync(join(root, bunProgram), ["--version"], { encoding: "utf8" })
  return result.status === 0 ? result.stdout.trim() : undefined
}

/**
 * Folders of the workspace's members, relative to `root` and sorted; globs are one level deep (`apps/*`).
 * @param {string} root
 * @returns {string[]}
 */
export function workspaceFolders(root) {
  return manifest(root).workspaces.packages.flatMap((/** @type {string} */ glob) => {
    const parent = glob.replace(/\/\*$/, "")
    return readdirSync(join(root, parent))
      .map((name) => `${parent}/${name}`)
      .filter((folder) => existsSync(join(root, folder, "package.json")))
      .sort()
  })
}

/**
 * Folders of the programs, relative to `root`.
 * @param {string} root
 */
export function appFolders(root) {
  return workspaceFolders(root).filter((folder) => folder.startsWith("apps/"))
}

/** @param {string} root */
function manifest(root) {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
}
