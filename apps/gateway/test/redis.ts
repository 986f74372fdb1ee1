import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { eventually } from "./gateway.ts"

/** Whether there is a `redis-server` to test with. */
export const isThere = spawnSync("redis-server", ["--version"]).error === undefined

export interface Redis {
  readonly url: string
  readonly start: Effect.Effect<void>
  readonly kill: (signal: NodeJS.Signals) => void
}

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const answers = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = connect(port, "127.0.0.1")
    socket.write("PING\r\n")
    socket.on("data", (data) => {
      resume(Effect.succeed(data.toString().startsWith("+PONG")))
      socket.destroy()
    })
    socket.on("error", () => resume(Effect.succeed(false)))
  })

/** A Redis of the test's own, on a free port; `start` starts it, again after it was killed too. */
export const make: Effect.Effect<Redis, never, Scope.Scope> = Effect.gen(function* () {
  const port = yield* freePort
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "redis-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  let child: ChildProcess | undefined
  yield* Effect.addFinalizer(() => Effect.sync(() => child?.kill("SIGKILL")))
  const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"]
  return {
    url: `redis://127.0.0.1:${port}`,
    start: Effect.suspend(() => {
      child = spawn("redis-server", options, { stdio: "ignore" })
      return Effect.asVoid(eventually(answers(port), (up) => up))
    }),
    kill: (signal) => void child?.kill(signal)
  }
})
