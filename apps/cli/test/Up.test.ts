import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { everyPid, freePort, isAlive, isReady, notes, occupy, run, temporaryDirectory, until, up } from "./Program.ts"

const names = ["gateway", "files", "utility", "analytics", "timeseries"]

const environmentOf = (directory: string, name: string): Record<string, string> =>
  JSON.parse(readFileSync(join(directory, `${name}.env`), "utf8"))

describe("opsbuddy up", () => {
  it.live("announces a line a service and where to go next", () =>
    Effect.gen(function* () {
      const program = yield* up()
      yield* isReady(program)
      const lines = program
        .stdout()
        .split("\n")
        .filter((line) => line.includes("ready in"))
      assert.deepStrictEqual(
        lines.map((line) => line.split(" ")[0]),
        names
      )
      assert.match(lines[0] ?? "", /^gateway +http:\/\/127\.0\.0\.1:\d+ +no storage +ready in \d+ ms$/)
      assert.include(lines[1] ?? "", `fake ${program.directory}`)
      assert.match(program.stdout(), /http:\/\/localhost:\d+\/docs and http:\/\/localhost:\d+\/status/)
    })
  )

  it.live("with --json prints one JSON line to standard output and the logs to standard error", () =>
    Effect.gen(function* () {
      const program = yield* up(["--json"])
      const line = yield* until("a line", () => program.stdout().includes("\n") && program.stdout())
      const { ready, services } = JSON.parse(line)
      assert.isTrue(ready)
      assert.deepStrictEqual(
        services.map(({ name }: { name: string }) => name),
        names
      )
      const [gateway, files] = services
      assert.hasAllKeys(files, ["name", "url", "pid", "storage", "readyMillis"])
      assert.isUndefined(gateway.storage)
      assert.deepStrictEqual(files.storage, { kind: "fake", location: program.directory, bytes: 1 })
      assert.include(everyPid(program.directory), files.pid)
      const answer = yield* Effect.promise(() => fetch(`${files.url}/ready`))
      assert.strictEqual(answer.status, 200)
      program.child.kill("SIGTERM")
      assert.strictEqual(yield* program.exitCode, 0)
      assert.strictEqual(program.stdout(), line)
      assert.include(program.stderr(), `{"service":"files","message":"listening"}`)
    })
  )

  it.live("tells each child where it and the others are, and that it is supervised", () =>
    Effect.gen(function* () {
      const program = yield* up(["--json"], { env: { SERVICE_PORT: "1", SERVICE_HOST: "0.0.0.0", GATEWAY_PORT: "1" } })
      const line = yield* until("a line", () => program.stdout().includes("\n") && program.stdout())
      const urls = JSON.parse(line).services.map(({ url }: { url: string }) => url)
      const expected = {
        OPSBUDDY_FILES_URL: urls[1],
        OPSBUDDY_UTILITY_URL: urls[2],
        OPSBUDDY_ANALYTICS_URL: urls[3],
        OPSBUDDY_TIMESERIES_URL: urls[4],
        OPSBUDDY_DATA_DIRECTORY: program.directory,
        OPSBUDDY_LOG_FORMAT: "json",
        OPSBUDDY_SUPERVISED: "1"
      }
      for (const name of names) assert.containSubset(environmentOf(program.directory, name), expected)
      const { GATEWAY_HOST, GATEWAY_PORT } = environmentOf(program.directory, "gateway")
      assert.strictEqual(`http://${GATEWAY_HOST}:${GATEWAY_PORT}`, urls[0])
      const { SERVICE_HOST, SERVICE_PORT } = environmentOf(program.directory, "files")
      assert.strictEqual(`http://${SERVICE_HOST}:${SERVICE_PORT}`, urls[1])
    })
  )

  it.live("starts what --only names, and leaves the URL of another service as the environment has it", () =>
    Effect.gen(function* () {
      const program = yield* up(["--only", "gateway,files"], { env: { OPSBUDDY_UTILITY_URL: "http://127.0.0.1:9" } })
      yield* isReady(program)
      assert.sameMembers(
        notes(program.directory).map(({ service }) => service),
        ["gateway", "files"]
      )
      const environment = environmentOf(program.directory, "gateway")
      assert.strictEqual(environment.OPSBUDDY_UTILITY_URL, "http://127.0.0.1:9")
      assert.match(environment.OPSBUDDY_ANALYTICS_URL ?? "", /^http:\/\/127\.0\.0\.1:\d+$/)
    })
  )

  it.live("reads the data folder, the log format and the gateway's port from .env in the working directory", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      const port = yield* freePort
      writeFileSync(
        join(cwd, ".env"),
        `OPSBUDDY_DATA_DIRECTORY=here\nOPSBUDDY_LOG_FORMAT=pretty\nGATEWAY_PORT=${port}\n`
      )
      const program = yield* run(["up", "--only", "gateway"], { cwd })
      yield* isReady(program)
      const environment = environmentOf(join(cwd, "here"), "gateway")
      assert.strictEqual(environment.OPSBUDDY_DATA_DIRECTORY, join(cwd, "here"))
      assert.strictEqual(environment.OPSBUDDY_LOG_FORMAT, "pretty")
      assert.strictEqual(environment.GATEWAY_PORT, String(port))
      program.child.kill("SIGTERM")
      assert.strictEqual(yield* program.exitCode, 0)
    })
  )

  it.live("names every port in use and its owner before it starts anything", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const base = yield* freeBase
      const first = yield* occupy(base)
      const third = yield* occupy(base + 2)
      const program = yield* run(["up", "--data", directory, "--port-base", String(base)])
      assert.strictEqual(yield* program.exitCode, 1)
      assert.include(program.stderr(), `127.0.0.1:${first} for gateway: in use`)
      assert.include(program.stderr(), `127.0.0.1:${third} for utility: in use`)
      assert.notInclude(program.stderr(), "for files")
      if (existsSync("/proc/net/tcp")) assert.include(program.stderr(), `by pid ${process.pid} (`)
      assert.deepStrictEqual(notes(directory), [])
    })
  )

  it.live("moves every port with --port-base", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const base = yield* freeBase
      const program = yield* run(["up", "--data", directory, "--json", "--port-base", String(base)])
      const line = yield* until("a line", () => program.stdout().includes("\n") && program.stdout())
      const urls = JSON.parse(line).services.map(({ url }: { url: string }) => url)
      assert.deepStrictEqual(
        urls,
        names.map((_, index) => `http://127.0.0.1:${base + index}`)
      )
      program.child.kill("SIGTERM")
      assert.strictEqual(yield* program.exitCode, 0)
    })
  )

  for (const [args, env] of [
    [["--host", "0.0.0.0"], {}],
    [[], { GATEWAY_HOST: "192.0.2.1" }]
  ] as const) {
    it.live(
      `refuses an open host, given by ${args.length > 0 ? "--host" : "GATEWAY_HOST"}, because there is no login`,
      () =>
        Effect.gen(function* () {
          const program = yield* up(args, { env: { ...env } })
          assert.strictEqual(yield* program.exitCode, 1)
          assert.match(program.stderr(), /not opened on (0\.0\.0\.0|192\.0\.2\.1): .*without login/)
          assert.deepStrictEqual(notes(program.directory), [])
        })
    )
  }

  it.live("ends with 78 before it starts anything when a common variable is not valid", () =>
    Effect.gen(function* () {
      const program = yield* up([], { env: { LOG_LEVEL: "loud", DEBUG: "perhaps" } })
      assert.strictEqual(yield* program.exitCode, 78)
      assert.include(program.stderr(), "LOG_LEVEL")
      assert.include(program.stderr(), "DEBUG")
      assert.deepStrictEqual(notes(program.directory), [])
    })
  )

  it.live("ends at once with 78 and the child's message when a child finds its environment not valid", () =>
    Effect.gen(function* () {
      const program = yield* up([], { env: { FAKE_UTILITY: "exit=78" } })
      assert.strictEqual(yield* program.exitCode, 78)
      assert.match(
        program.stderr(),
        /opsbuddy: utility does not start:\n +the environment is not valid:\n +FAKE_UTILITY: ends with 78/
      )
      assert.deepStrictEqual(everyPid(program.directory).filter(isAlive), [])
    })
  )

  it.live("refuses a data folder that is in use, naming the pid, until its holder is gone, even by kill -9", () =>
    Effect.gen(function* () {
      const program = yield* up()
      yield* isReady(program)
      const arguments_ = ["up", "--data", program.directory, "--port-base", "0"]
      const second = yield* run(arguments_)
      assert.strictEqual(yield* second.exitCode, 1)
      assert.include(
        second.stderr(),
        `${program.directory} is in use by an "opsbuddy up" that runs already: pid ${program.pid}.`
      )
      program.child.kill("SIGKILL")
      yield* program.exitCode
      const third = yield* run(arguments_)
      yield* isReady(third)
      third.child.kill("SIGTERM")
      assert.strictEqual(yield* third.exitCode, 0)
    })
  )

  it.live("lets one of two that start at the same moment have the data folder", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const arguments_ = ["up", "--data", directory, "--port-base", "0"]
      const both = yield* Effect.forEach([1, 2, 3], () => run(arguments_))
      yield* until("two refusals", () => both.filter((_) => _.stderr().includes("runs already")).length === 2)
      const winner = both.find((_) => !_.stderr().includes("runs already"))
      assert.isDefined(winner)
      if (winner === undefined) return
      yield* isReady(winner)
      for (const program of both) {
        if (program === winner) continue
        assert.include(program.stderr(), `pid ${winner.pid}.`)
      }
      winner.child.kill("SIGTERM")
      assert.strictEqual(yield* winner.exitCode, 0)
    })
  )
})

/** The first of five ports in a row that are free now, below those that the system hands out. */
const freeBase = Effect.gen(function* () {
  for (let base = 20_000 + (process.pid % 1000) * 10; base < 32_000; base += 10) {
    const free = yield* Effect.forEach([0, 1, 2, 3, 4], (offset) => Effect.scoped(Effect.option(occupy(base + offset))))
    if (free.every((_) => _._tag === "Some")) return base
  }
  return yield* Effect.die(new Error("no five free ports in a row"))
})
