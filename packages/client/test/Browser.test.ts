import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { builtinModules, isBuiltin } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createContext, runInContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { health, serve } from "./server.ts"

const root = join(import.meta.dirname, "../../..")

/** The client and all that it imports as one script for browsers, in which modules of Node and Bun stay imports. */
const bundle = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "opsbuddy-client-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
).pipe(
  Effect.map((folder) => {
    const file = join(folder, "client.js")
    const foreign = ["node:*", "bun", "bun:*", ...builtinModules].map((name) => `--external=${name}`)
    const entry = join(import.meta.dirname, "browser.entry.ts")
    const built = spawnSync(
      join(root, "node_modules/.bin/bun"),
      ["build", entry, "--target=browser", `--outfile=${file}`, ...foreign],
      { cwd: root, encoding: "utf8" }
    )
    assert.strictEqual(built.status, 0, built.stderr)
    return readFileSync(file, "utf8")
  })
)

/** What a browser has of what the client may use; no `process`, no `Buffer`, no `require`. */
const browser = () => ({
  ...{
    AbortController,
    AbortSignal,
    Blob,
    DOMException,
    Event,
    EventTarget,
    File,
    FormData,
    Headers,
    Request,
    Response
  },
  ...{ ReadableStream, TransformStream, WritableStream, TextDecoder, TextEncoder, URL, URLSearchParams },
  // What `fetch` gives is of this realm.
  ...{ ArrayBuffer, Uint8Array },
  ...{ clearTimeout, console, crypto, fetch, performance, queueMicrotask, setTimeout, structuredClone }
})

describe("the client in a browser", () => {
  it.live("imports nothing of Node or Bun, and works with what a browser has", () =>
    Effect.gen(function* () {
      const script = yield* bundle
      const imports = [...script.matchAll(/\b(?:from|import|require)\(?\s*["']([^"'\s]+)["']/g)]
      assert.deepStrictEqual(
        imports.map(([, name = ""]) => name).filter((name) => isBuiltin(name) || /^bun(:|$)/.test(name)),
        []
      )
      const { arrived, url } = yield* serve({ status: 200, type: "application/json", body: health })
      const context = createContext({ ...browser(), baseUrl: url })
      // A module's names are its own, those of a script would be the page's.
      runInContext(`"use strict";(() => {${script}})()`, context)
      assert.strictEqual(yield* Effect.promise(() => context.answered), "healthy")
      assert.deepStrictEqual(
        arrived.map(({ method, url }) => `${method} ${url}`),
        ["GET /health"]
      )
    })
  )
})
