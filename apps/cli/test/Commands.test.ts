import { createServer, type Server } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./Program.ts"

const timestamp = "2026-01-01T00:00:00.000Z"
const answers: Record<string, unknown> = {
  "/health": {
    status: "degraded",
    service: { name: "gateway", version: "0.1.0", uptime: 4000 },
    database: "none",
    timestamp,
    services: [
      { name: "files", status: "healthy" },
      { name: "utility", status: "unknown", detail: "connection refused" }
    ]
  },
  "/status": {
    service: { name: "gateway", version: "0.1.0", uptime: 4000 },
    runtime: { name: "bun", version: "1", pid: 1 },
    memory: { rss: 1, heapUsed: 1 },
    counters: {},
    timestamp,
    upstreams: [
      {
        name: "files",
        circuit: { state: "closed", since: timestamp, consecutiveFailures: 0 },
        concurrency: { active: 0, queued: 0, max: 512, queue: 128, refused: 0 },
        retryTokens: 0,
        targets: [{ url: "http://127.0.0.1:8001", weight: 1, health: "healthy", requests: 0, failures: 0, inFlight: 0 }]
      }
    ]
  }
}

const gateway = Effect.acquireRelease(
  Effect.callback<Server>((resume) => {
    const server = createServer((request, response) => {
      response.setHeader("content-type", "application/json")
      response.end(JSON.stringify(answers[request.url ?? ""]))
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
)

describe("opsbuddy", () => {
  it.live("tells its version", () =>
    Effect.gen(function* () {
      const program = yield* run(["--version"])
      assert.strictEqual(yield* program.exitCode, 0)
      assert.match(program.stdout(), /opsbuddy v\d+\.\d+\.\d+/)
    })
  )

  it.live("explains itself with --help", () =>
    Effect.gen(function* () {
      const program = yield* run(["up", "--help"])
      assert.strictEqual(yield* program.exitCode, 0)
      for (const flag of ["--only", "--data", "--port-base", "--host", "--json"]) assert.include(program.stdout(), flag)
    })
  )

  for (const args of [["up", "--nope"], ["nope"], ["up", "--port-base", "70000"], ["up", "--only", "files,web"]]) {
    it.live(`ends with 64 and says why on standard error: ${args.join(" ")}`, () =>
      Effect.gen(function* () {
        const program = yield* run(args)
        assert.strictEqual(yield* program.exitCode, 64)
        assert.include(program.stderr(), args.at(-1) ?? "")
      })
    )
  }
})

describe("opsbuddy env", () => {
  it.live("lists every variable once for the services that read it alike, and marks what is not valid", () =>
    Effect.gen(function* () {
      const program = yield* run(["env", "--json"])
      assert.strictEqual(yield* program.exitCode, 0)
      const listed: ReadonlyArray<{
        name: string
        services: ReadonlyArray<string>
        problem?: string
        default?: string
      }> = JSON.parse(program.stdout())
      const level = listed.filter(({ name }) => name === "LOG_LEVEL")
      assert.lengthOf(level, 1)
      assert.deepStrictEqual(level[0]?.services, ["gateway", "files", "utility", "analytics", "timeseries"])
      assert.strictEqual(level[0]?.problem, "is not a level")
      const ports = listed.filter(({ name }) => name === "SERVICE_PORT")
      assert.deepStrictEqual(
        ports.map((_) => _.default),
        ["80-files", "80-utility", "80-analytics", "80-timeseries"]
      )
    })
  )

  it.live("prints them for people, secrets hidden", () =>
    Effect.gen(function* () {
      const program = yield* run(["env"])
      assert.strictEqual(yield* program.exitCode, 0)
      assert.match(
        program.stdout(),
        /! LOG_LEVEL +\(all\)\n +least severe level\n +default: info\n +value: +loud\n +NOT VALID: is not a level/
      )
      assert.match(program.stdout(), /FAKE_TOKEN +\(all\)\n.*\n +default: none\n +value: +<hidden>/)
    })
  )
})

describe("opsbuddy status", () => {
  it.live("shows the services as the gateway sees them", () =>
    Effect.gen(function* () {
      const address = (yield* gateway).address()
      if (typeof address !== "object" || address === null) return assert.fail("no address")
      const program = yield* run(["status", "--url", `http://127.0.0.1:${address.port}`])
      assert.strictEqual(yield* program.exitCode, 0)
      assert.match(program.stdout(), /gateway +degraded .*version 0\.1\.0, up 1 h 6 min/)
      assert.match(program.stdout(), /files +healthy +closed +http:\/\/127\.0\.0\.1:8001/)
      assert.match(program.stdout(), /utility +unknown +connection refused/)
    })
  )

  it.live("says that nothing answers", () =>
    Effect.gen(function* () {
      const program = yield* run(["status", "--url", "http://127.0.0.1:9"])
      assert.strictEqual(yield* program.exitCode, 1)
      assert.include(program.stderr(), "opsbuddy: http://127.0.0.1:9 does not answer")
    })
  )
})
