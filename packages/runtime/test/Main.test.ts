import { writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { eventually, start, temporaryFolder } from "./app/Program.ts"

const Listed = Schema.fromJsonString(
  Schema.Array(
    Schema.Struct({
      name: Schema.String,
      description: Schema.NonEmptyString,
      default: Schema.optionalKey(Schema.String),
      value: Schema.optionalKey(Schema.String),
      required: Schema.Boolean,
      secret: Schema.Boolean,
      problem: Schema.optionalKey(Schema.String)
    })
  )
)

const listed = Effect.fnUntraced(function* (options: {
  readonly environment?: Record<string, string>
  readonly appFile?: string
  readonly workingFile?: string
}) {
  const app = yield* temporaryFolder
  const directory = yield* temporaryFolder
  if (options.appFile !== undefined) writeFileSync(join(app, ".env"), options.appFile)
  if (options.workingFile !== undefined) writeFileSync(join(directory, ".env"), options.workingFile)
  const program = yield* start({ arguments: ["env", app], environment: options.environment ?? {}, directory })
  assert.strictEqual(yield* program.ended, 0)
  assert.lengthOf(program.out.texts, 1)
  const variables = Schema.decodeSync(Listed)(program.out.texts[0] ?? "")
  return { variables, of: (name: string) => variables.find((variable) => variable.name === name) }
}, Effect.scoped)

const silent = { OPSBUDDY_TIMESERIES_URL: "http://127.0.0.1:1", SERVICE_PORT: "0" }

describe("a program", () => {
  it.live("lists its variables as JSON, with a secret hidden and what is wrong named", () =>
    Effect.gen(function* () {
      const { of, variables } = yield* listed({
        environment: { SERVICE_PORT: "x", OPSBUDDY_TEST_TOKEN: "hunter2", LOG_LEVEL: "WARN" }
      })
      assert.includeMembers(
        variables.map(({ name }) => name),
        ["SERVICE_HOST", "SERVICE_PORT", "LOG_LEVEL", "DEBUG", "OPSBUDDY_LOG_FORMAT", "OPSBUDDY_DATA_DIRECTORY"]
      )
      assert.notInclude(JSON.stringify(variables), "hunter2")
      assert.deepInclude(of("OPSBUDDY_TEST_TOKEN"), { secret: true, value: "<hidden>", default: "nothing" })
      assert.deepInclude(of("LOG_LEVEL"), { default: "info", value: "WARN", required: false })
      assert.notProperty(of("LOG_LEVEL"), "problem")
      assert.deepInclude(of("SERVICE_PORT"), { default: "8002", value: "x" })
      assert.match(of("SERVICE_PORT")?.problem ?? "", /^Expected /)
      assert.notProperty(of("SERVICE_HOST"), "value")
    })
  )

  it.live("takes a variable from its environment, else from .env of its folder, else of the working directory", () =>
    Effect.gen(function* () {
      const { of } = yield* listed({
        environment: { SERVICE_PORT: "1" },
        appFile: "SERVICE_PORT=2\nSERVICE_HOST=app\n",
        workingFile: "SERVICE_PORT=3\nSERVICE_HOST=working\nLOG_LEVEL=error\n"
      })
      assert.deepStrictEqual(
        ["SERVICE_PORT", "SERVICE_HOST", "LOG_LEVEL", "DEBUG"].map((name) => of(name)?.value),
        ["1", "app", "error", undefined]
      )
    })
  )

  it.live("ends with 78 and one message that names all variables that are wrong", () =>
    Effect.gen(function* () {
      const program = yield* start({
        arguments: ["serve"],
        environment: { SERVICE_PORT: "70000", LOG_LEVEL: "loud", DEBUG: "perhaps", OPSBUDDY_TIMESERIES_URL: "x" }
      })
      assert.strictEqual(yield* program.ended, 78)
      assert.deepStrictEqual(program.out.texts, [])
      const [first, ...rest] = program.errors.texts
      assert.strictEqual(first, "the environment is not valid:")
      assert.deepStrictEqual(
        rest.map((line) => /^ {2}(\w+): Expected \S+/.exec(line)?.[1]),
        ["SERVICE_PORT", "LOG_LEVEL", "DEBUG", "OPSBUDDY_TIMESERIES_URL"]
      )
    })
  )

  it.live("ends with 1, its cause in the log, and never listens when a part of it cannot be built", () =>
    Effect.gen(function* () {
      const program = yield* start({ arguments: ["serve", ".", "broken"], environment: silent })
      assert.strictEqual(yield* program.ended, 1)
      assert.lengthOf(program.out.objects, 1)
      assert.deepInclude(program.out.objects[0], { level: "fatal", message: "failed", service: "utility" })
      assert.include(JSON.stringify(program.out.objects[0]?.data), "the disk is gone")
    })
  )

  it.live("ends with 1 and names the port that another program has", () =>
    Effect.gen(function* () {
      const port = yield* Effect.acquireRelease(
        Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
          const server = createServer().listen(0, "127.0.0.1", () => {
            const address = server.address()
            const port = typeof address === "object" && address !== null ? address.port : 0
            resume(Effect.succeed({ port, close: () => server.close() }))
          })
        }),
        ({ close }) => Effect.sync(close)
      )
      const program = yield* start({
        arguments: ["serve"],
        environment: { ...silent, SERVICE_PORT: String(port.port) }
      })
      assert.strictEqual(yield* program.ended, 1)
      assert.include(program.out.texts.join(), `cannot listen on 127.0.0.1:${port.port}`)
    })
  )

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(`drains and ends with 0 at ${signal}, whatever else is still going on`, () =>
      Effect.gen(function* () {
        const program = yield* start({ arguments: ["serve"], environment: silent })
        const url = yield* program.url
        assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
        const ready = yield* Effect.promise(() => fetch(`${url}/ready`))
        assert.strictEqual(ready.status, 200)
        program.kill(signal)
        assert.strictEqual(yield* program.ended, 0)
        assert.include(program.out.texts.join(), '"draining"')
        assert.deepStrictEqual(program.errors.texts, [])
      })
    )
  }

  it.live("logs at debug level where DEBUG says so, in JSON where its output is no terminal", () =>
    Effect.gen(function* () {
      const program = yield* start({ arguments: ["serve"], environment: { ...silent, DEBUG: "true" } })
      const url = yield* program.url
      yield* Effect.promise(() => fetch(`${url}/health`, { headers: { "x-request-id": "abc" } }))
      yield* eventually(() => program.out.texts.some((text) => text.includes("request answered")))
      const line = program.out.objects.find(({ message }) => message === "request answered")
      assert.deepInclude(line, { level: "debug", requestId: "abc" })
      assert.deepInclude(line?.data, { method: "GET", url: "/health", status: 200 })
    })
  )
})
