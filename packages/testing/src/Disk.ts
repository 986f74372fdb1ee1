import { execFileSync, spawnSync } from "node:child_process"
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

/** A folder that is removed with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "opsbuddy-test-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Why no disk of its own can be had here; `undefined` where it can. */
export const noDisk = (() => {
  const folder = mkdtempSync(join(tmpdir(), "opsbuddy-test-"))
  const { error, status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { stdio: "ignore" })
  if (status === 0) execFileSync("umount", [folder])
  rmSync(folder, { recursive: true })
  if (error === undefined && status === 0) return undefined
  if (process.env.OPSBUDDY_REQUIRE_PARTS === "1") throw new Error("a tmpfs is required and cannot be mounted")
  return "a tmpfs cannot be mounted here"
})()

/** A disk of this many mebibytes, mounted until the scope closes. Where `noDisk` says so, it cannot be made. */
export const disk = (mebibytes: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(tmpdir(), "opsbuddy-test-"))
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder])
      return folder
    }),
    (folder) =>
      Effect.sync(() => {
        execFileSync("umount", ["--lazy", folder])
        rmSync(folder, { recursive: true, force: true })
      })
  )

const block = Buffer.alloc(4096, 1)

/** Takes every byte that the disk has left, in the file `filler` of the folder. */
export const fill = (folder: string) =>
  Effect.sync(() => {
    const descriptor = openSync(join(folder, "filler"), "a")
    try {
      for (;;) writeSync(descriptor, block)
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error
    } finally {
      closeSync(descriptor)
    }
  })

/** Gives back what `fill` took. */
export const empty = (folder: string) => Effect.sync(() => rmSync(join(folder, "filler")))
