// What the scripts of package.json run first: `node scripts/bootstrap.mjs` installs what is missing, and with `programs`
// builds what `npm start` runs. Plain JavaScript for Node 20, before anything is installed. The script then goes on with
// `exec`, so that no process of this stays beside the program, or between it and a signal.
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { ensureInstalled, SetupFailed } from "./install.mjs"
import { ensureBuilt } from "./programs.mjs"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
try {
  ensureInstalled(root)
  if (process.argv[2] === "programs") ensureBuilt(root)
} catch (error) {
  if (!(error instanceof SetupFailed)) throw error
  console.error(`opsbuddy: ${error.message}`)
  process.exitCode = 1
}
