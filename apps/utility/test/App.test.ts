import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Command, CommandName } from "@opsbuddy/contract/Utility"
import { layerPlatform, routes } from "@opsbuddy/runtime/App"
import * as Server from "@opsbuddy/runtime/Server"
import { common } from "@opsbuddy/runtime/Settings"
import { load } from "@opsbuddy/runtime/Variables"
import { ConfigProvider, Context, Effect, Layer, Logger } from "effect"
import { HttpRouter } from "effect/http"
import { make } from "../src/App.ts"
import { CommandCatalogue } from "../src/CommandCatalogue.ts"
import { eventually, isRunning, pidIn, temporaryFolder } from "./processes.ts"

/** Where the app under test is served, and a folder that its command `linger` writes its process id to. */
class Served extends Context.Service<Served, { readonly url: string; readonly folder: string }>()(
  "@opsbuddy/utility/test/Served"
) {
  static readonly layer = Layer.effect(
    Served,
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const shell = (name: string, script: string) =>
        new Command({
          name: CommandName.make(name),
          description: "",
          argv: ["/bin/sh", "-c", script],
          timeoutMillis: 8000
        })
      const own = [
        shell("linger", `sleep 1000 & echo $! > ${folder}/pid; wait`),
        shell("nap", "sleep 2"),
        shell("hello", "echo hello")
      ]
      const app = make(
        Layer.effect(
          CommandCatalogue,
          Effect.map(CommandCatalogue, ({ commands }) => ({ commands: [...commands, ...own] }))
        ).pipe(Layer.provide(CommandCatalogue.layer))
      )
      const environment = {
        OPSBUDDY_DATA_DIRECTORY: folder,
        SERVICE_PORT: "0",
        // Nothing listens there.
        OPSBUDDY_TIMESERIES_URL: "http://127.0.0.1:1"
      }
      const settings = yield* load({ ...common(app.name), ...app.variables }).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
      )
      const http = yield* HttpRouter.toHttpEffect(routes(app, settings))
      const port = yield* Server.serve(http, { host: settings.host, port: settings.port, drainMillis: 1000 })
      return { url: `http://127.0.0.1:${port}`, folder }
    })
  ).pipe(Layer.provide([layerPlatform, Logger.layer([])]))
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: { readonly [member: string]: unknown }
}

/** Asks the real server with the runtime's own client; a string is sent as it is, as JSON. */
const ask = Effect.fnUntraced(function* (method: string, path: string, body?: string) {
  const { url } = yield* Served
  return yield* Effect.promise(async (signal): Promise<Answer> => {
    const response = await fetch(`${url}${path}`, {
      method,
      signal,
      ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } })
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: text === "" ? {} : JSON.parse(text) }
  })
})

const put = (key: string, json: string) => ask("PUT", `/api/utils/configs/${key}`, json)

layer(Served.layer, { excludeTestServices: true })("the utility service", (it) => {
  it.effect("tells about the machine and about itself", () =>
    Effect.gen(function* () {
      const info = yield* ask("GET", "/api/utils/system/info")
      assert.strictEqual(info.status, 200)
      assert.containsAllKeys(info.body, ["hostname", "cpu", "memory", "disks", "network", "uptime"])
      const health = yield* ask("GET", "/health")
      assert.deepInclude(health.body, { status: "healthy", database: "healthy" })
      const status = yield* ask("GET", "/status")
      assert.deepInclude(status.body.storage, { kind: "sqlite" })
    })
  )

  it.effect("sets, gives, lists and removes any JSON", () =>
    Effect.gen(function* () {
      for (const json of ["null", "false", "0", '""', "[]", '{"__proto__":{"polluted":true},"constructor":null}']) {
        const set = yield* put("any", json)
        assert.deepInclude(set.body, { key: "any", modifiedBy: "local" })
        const got = yield* ask("GET", "/api/utils/configs/any")
        assert.include(got.text, `"value":${json},`)
        assert.strictEqual(got.text, set.text)
      }
      const list = yield* ask("GET", "/api/utils/configs?prefix=an&limit=1")
      assert.include(list.text, '{"items":[{"key":"any"')
      assert.strictEqual((yield* ask("DELETE", "/api/utils/configs/any")).status, 204)
      assert.deepInclude((yield* ask("DELETE", "/api/utils/configs/any")).body, {
        type: "urn:opsbuddy:problem:config-not-found",
        key: "any"
      })
      assert.deepInclude((yield* put("any", "1")).body, { version: 1 })
    })
  )

  it.effect("refuses JSON that is nested too deep, naming where, however deep it is", () =>
    Effect.gen(function* () {
      const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}[]${"}".repeat(depth - 1)}`
      assert.strictEqual((yield* put("deep", nested(64))).status, 200)
      const refused = yield* put("deep", nested(65))
      assert.strictEqual(refused.status, 400)
      const message = "nested deeper than 64 levels"
      assert.deepInclude(refused.body, { errors: [{ path: ["payload", ...Array(64).fill("a")], message }] })
      const huge = yield* put("deep", '{"a":[1,{"b":-1e999}]}')
      assert.deepInclude(huge.body, {
        errors: [{ path: ["payload", "a", 1, "b"], message: "larger than a double can hold" }]
      })
      const deepest = yield* put("deep", "[".repeat(500_000) + "]".repeat(500_000))
      assert.deepInclude(deepest.body, { type: "urn:opsbuddy:problem:invalid-request", status: 400 })
      assert.deepInclude((yield* ask("GET", "/api/utils/configs/deep")).body, { version: 1 })
    })
  )

  it.effect("takes a configuration of a mebibyte and refuses a larger one", () =>
    Effect.gen(function* () {
      const limit = 1024 * 1024
      assert.strictEqual((yield* put("large", `"${"a".repeat(limit - 2)}"`)).status, 200)
      const refused = yield* put("large", `"${"a".repeat(limit - 1)}"`)
      assert.deepInclude(refused.body, { type: "urn:opsbuddy:problem:body-too-large", status: 413, limit })
      assert.deepInclude((yield* ask("GET", "/api/utils/configs/large")).body, { version: 1 })
    })
  )

  it.effect("refuses what is not JSON and keys that cannot be", () =>
    Effect.gen(function* () {
      for (const json of ["", "{", "1e999", "nul", "{}{}"])
        assert.strictEqual((yield* put("bad", json)).status, 400, json)
      for (const key of ["a%20b", "a%2Fb", "%C3%A9"]) assert.strictEqual((yield* put(key, "1")).status, 400, key)
      const unknown = yield* ask("GET", "/api/utils/configs?perfix=a")
      assert.strictEqual(unknown.status, 400)
      const method = yield* ask("POST", "/api/utils/configs/bad", "1")
      assert.strictEqual(method.status, 405)
      assert.strictEqual(method.headers.get("allow"), "GET, HEAD, PUT, DELETE")
    })
  )

  it.effect("runs what its catalogue lists", () =>
    Effect.gen(function* () {
      const listed = yield* ask("GET", "/api/utils/commands")
      for (const name of ["date", "df", "uptime"]) {
        assert.include(listed.text, `"name":"${name}"`)
        const run = yield* ask("POST", `/api/utils/commands/${name}/run`)
        assert.strictEqual(run.status, 200)
        assert.deepInclude(run.body, {
          command: name,
          startedBy: "local",
          outcome: "exited",
          exitCode: 0,
          signal: null
        })
      }
      assert.include(
        (yield* ask("POST", "/api/utils/commands/hello/run")).text,
        '{"text":"hello\\n","bytes":6,"truncated":false}'
      )
      assert.strictEqual((yield* ask("POST", "/api/utils/commands/nope/run")).status, 404)
      assert.strictEqual((yield* ask("POST", "/api/utils/commands/Not%20A%20Name/run")).status, 400)
    })
  )

  it.effect("kills a command whose client leaves", () =>
    Effect.gen(function* () {
      const { folder } = yield* Served
      const request = ask("POST", "/api/utils/commands/linger/run")
      const pid = yield* Effect.raceFirst(Effect.as(request, 0), pidIn(join(folder, "pid")))
      assert.isAbove(pid, 0)
      yield* eventually(() => !isRunning(pid))
    })
  )

  it.effect("refuses a ninth command at once, and says when to come again", () =>
    Effect.gen(function* () {
      const answers = yield* Effect.all(
        Array.from({ length: 12 }, () => ask("POST", "/api/utils/commands/nap/run")),
        { concurrency: "unbounded" }
      )
      const refused = answers.filter(({ status }) => status === 503)
      assert.lengthOf(refused, 4)
      for (const { body, headers } of refused) {
        assert.deepInclude(body, { type: "urn:opsbuddy:problem:too-many-runs", limit: 8, retryAfter: 1 })
        assert.strictEqual(headers.get("retry-after"), "1")
      }
      assert.lengthOf(
        answers.filter(({ status }) => status === 200),
        8
      )
    })
  )
})
