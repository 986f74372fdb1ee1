import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { commandLine } from "@opsbuddy/runtime/Process"
import { Effect, type Scope } from "effect"
import { Lines } from "./Lines.ts"

/** A folder that is removed with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "runtime-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

export interface Options {
  readonly arguments: ReadonlyArray<string>
  /** All that the program finds in its environment beside `PATH`. */
  readonly environment?: Readonly<Record<string, string>>
  readonly directory?: string
}

export interface Program {
  readonly out: Lines
  readonly errors: Lines
  /** Completes with the exit code, or the signal, once the program has ended and its output is complete. */
  readonly ended: Effect.Effect<number | string | null>
  readonly kill: (signal: NodeJS.Signals) => void
  /** The address that the program says it listens on. */
  readonly url: Effect.Effect<string>
}

const main = fileURLToPath(new URL("main.ts", import.meta.url))

const split = (lines: Lines) => {
  let pending = ""
  return (chunk: string) => {
    const parts = (pending + chunk).split("\n")
    pending = parts.pop() ?? ""
    for (const part of parts) lines.write(part)
  }
}

/** Waits for a condition of the world outside, which no clock tells. */
export const eventually = (condition: () => boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const timer = setInterval(() => {
      if (condition()) resume(Effect.void)
    }, 5)
    return Effect.sync(() => clearInterval(timer))
  })

/** Starts the test app as a process of the runtime that runs the test; it is killed with the scope. */
export const start = (options: Options): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const out = new Lines()
      const errors = new Lines()
      const [program, ...first] = commandLine(main)
      const child = spawn(program, [...first, ...options.arguments], {
        cwd: options.directory,
        env: { PATH: process.env.PATH, ...options.environment },
        stdio: ["ignore", "pipe", "pipe"]
      })
      child.stdout.setEncoding("utf8").on("data", split(out))
      child.stderr.setEncoding("utf8").on("data", split(errors))
      let result: { readonly code: number | string | null } | undefined
      child.on("close", (code, signal) => {
        result = { code: code ?? signal }
      })
      const listening = () => out.texts.find((text) => text.includes('"listening"'))
      return {
        out,
        errors,
        ended: Effect.map(
          eventually(() => result !== undefined),
          () => result?.code ?? null
        ),
        kill: (signal: NodeJS.Signals) => void child.kill(signal),
        url: Effect.map(
          eventually(() => listening() !== undefined),
          () => /"url":"([^"]+)"/.exec(listening() ?? "")?.[1] ?? ""
        )
      }
    }),
    (program) => Effect.sync(() => program.kill("SIGKILL"))
  )
