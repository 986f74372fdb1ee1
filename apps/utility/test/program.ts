import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { commandLine } from "@opsbuddy/runtime/Process"
import { Effect, Predicate } from "effect"
import { eventually } from "./processes.ts"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: { readonly [member: string]: unknown }
}

/** The service as a process of its own, as a user starts it. */
export interface Program {
  /** `undefined` where the connection broke. */
  readonly ask: (
    method: string,
    path: string,
    body?: string,
    headers?: Readonly<Record<string, string>>
  ) => Effect.Effect<Answer | undefined>
  /** Kills it at once, and completes when it is gone. */
  readonly kill: Effect.Effect<void>
  /** The lines of its log, as JSON. */
  readonly log: () => ReadonlyArray<{ readonly [member: string]: unknown }>
}

const members = (text: string): Answer["body"] => {
  const body: unknown = text === "" ? {} : JSON.parse(text)
  return Predicate.isObject(body) ? (body as Answer["body"]) : {}
}

const asker = (port: number): Program["ask"] =>
  Effect.fnUntraced(function* (method, path, body, headers = {}) {
    return yield* Effect.promise(async () => {
      try {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, {
          method,
          headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
          ...(body === undefined ? {} : { body })
        })
        return { status: response.status, headers: response.headers, body: members(await response.text()) }
      } catch {
        return undefined
      }
    })
  })

/** Starts it over the folder, on the runtime that runs the test; it is killed with the scope. */
export const start = Effect.fnUntraced(function* (folder: string) {
  let output = ""
  let ended = false
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const [program, ...first] = commandLine(main)
      const child = spawn(program, first, {
        env: {
          PATH: process.env.PATH,
          SERVICE_PORT: "0",
          OPSBUDDY_DATA_DIRECTORY: folder,
          OPSBUDDY_LOG_FORMAT: "json",
          // Nothing listens there.
          OPSBUDDY_TIMESERIES_URL: "http://127.0.0.1:1"
        },
        stdio: ["ignore", "pipe", "pipe"]
      })
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => {
          output += text
        })
      }
      child.once("exit", () => {
        ended = true
      })
      return child
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const port = () => Number(/"listening".*"url":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(output)?.[1] ?? 0)
  yield* eventually(() => ended || port() > 0)
  if (ended) return yield* Effect.die(new Error(`the service did not start:\n${output}`))
  const program: Program = {
    ask: asker(port()),
    kill: Effect.andThen(
      Effect.sync(() => child.kill("SIGKILL")),
      eventually(() => ended)
    ),
    log: () => output.split("\n").flatMap((line) => (line.startsWith("{") ? [members(line)] : []))
  }
  return program
})
