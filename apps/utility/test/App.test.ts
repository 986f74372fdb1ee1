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
const ask = Effect.fnUntraced(function* (
  method: string,
  path: string,
  body?: string,
  headers: Readonly<Record<string, string>> = {}
) {
  const { url } = yield* Served
  return yield* Effect.promise(async (signal): Promise<Answer> => {
    const response = await fetch(`${url}${path}`, {
      method,
      signal,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body })
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
      // No version of a key comes twice.
      assert.deepInclude((yield* put("any", "1")).body, { version: 7 })
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
      const deepest = yield* put("deep", "[".repeat(500_000) + "]".repeat(500_000))
      assert.deepInclude(deepest.body, { type: "urn:opsbuddy:problem:invalid-request", status: 400 })
      assert.deepInclude((yield* ask("GET", "/api/utils/configs/deep")).body, { version: 1 })
    })
  )

  it.effect("gives back each digit that was sent, in an entry and in a list", () =>
    Effect.gen(function* () {
      const numbers = '[9007199254740993,0.1000000000000000055,1e400,-1E-999,-0,1.0,{"a":12345678901234567890}]'
      const set = yield* put("digits", ` ${numbers.replaceAll(",", " ,\n\t")} `)
      assert.include(set.text, `"value":${numbers},"version":1,`)
      assert.strictEqual((yield* ask("GET", "/api/utils/configs/digits")).text, set.text)
      const list = yield* ask("GET", "/api/utils/configs?prefix=digits")
      assert.strictEqual(list.text, `{"items":[${set.text}]}`)
      assert.strictEqual(list.headers.get("content-type"), "application/json")
      const string = yield* put("digits", '"a  \\"b  c"')
      assert.include(string.text, '"value":"a  \\"b  c",')
    })
  )

  it.effect("refuses what another reader takes for something else, naming where", () =>
    Effect.gen(function* () {
      for (const [json, path, message] of [
        ['{"a":[0,{"b":1,"c":2,"b":1}]}', ["a", 1], 'has the key "b" twice'],
        ['{"a":1,"\\u0061":1}', [], 'has the key "\\u0061" twice'],
        ['{"__proto__":1,"__proto__":1}', [], 'has the key "__proto__" twice'],
        ['{"a":["\\ud83d\\ude00","\\ud83d"]}', ["a", 1], "has half of a surrogate pair, which is no character"],
        ['{"a":{"\\ude00\\ud83d":1}}', ["a"], "has half of a surrogate pair, which is no character"]
      ] as const) {
        const refused = yield* put("doubtful", json)
        assert.strictEqual(refused.status, 400, json)
        assert.deepInclude(refused.body, { errors: [{ path: ["payload", ...path], message }] })
      }
      for (const json of ['[{"a":1},{"a":1}]', '{"a":{"a":1},"b":{"a":1}}', '{"a":"b","b":"a"}', '["a","a"]']) {
        assert.strictEqual((yield* put("doubtful", json)).status, 200, json)
      }
      const type = yield* ask("PUT", "/api/utils/configs/doubtful", "1", { "content-type": "text/plain" })
      assert.deepInclude(type.body, {
        type: "urn:opsbuddy:problem:unsupported-media-type",
        accepts: ["application/json"]
      })
    })
  )

  it.effect("has an ETag for each version, and reads and changes under conditions", () =>
    Effect.gen(function* () {
      const at = "/api/utils/configs/tagged"
      const failed = { type: "urn:opsbuddy:problem:precondition-failed", status: 412 }
      const early = yield* ask("PUT", at, "0", { "if-match": "*" })
      assert.deepInclude(early.body, failed)
      assert.notProperty(early.body, "etag")
      const first = yield* ask("PUT", at, "1", { "if-none-match": "*" })
      assert.deepStrictEqual([first.status, first.headers.get("etag")], [200, '"1"'])
      assert.deepInclude((yield* ask("PUT", at, "2", { "if-none-match": "*" })).body, { ...failed, etag: '"1"' })
      const second = yield* ask("PUT", at, "2", { "if-match": '"1"' })
      assert.deepStrictEqual([second.status, second.headers.get("etag")], [200, '"2"'])
      assert.deepInclude((yield* ask("PUT", at, "3", { "if-match": '"1"' })).body, { ...failed, etag: '"2"' })
      assert.deepInclude((yield* ask("DELETE", at, undefined, { "if-match": '"1"' })).body, failed)
      for (const [header, status] of [
        ['"2"', 304],
        ['W/"2"', 304],
        ["*", 304],
        ['"1"', 200]
      ] as const) {
        for (const method of ["GET", "HEAD"]) {
          const read = yield* ask(method, at, undefined, { "if-none-match": header })
          assert.deepStrictEqual([read.status, read.headers.get("etag")], [status, '"2"'], `${method} ${header}`)
          if (status === 304) assert.strictEqual(read.text, "")
        }
      }
      assert.strictEqual((yield* ask("GET", at, undefined, { "if-match": '"1"' })).status, 412)
      const malformed = yield* ask("PUT", at, "3", { "if-match": "2" })
      assert.deepInclude(malformed.body, { type: "urn:opsbuddy:problem:invalid-request", status: 400 })
      assert.deepInclude((yield* ask("GET", at)).body, { value: 2, version: 2 })
      assert.strictEqual((yield* ask("DELETE", at, undefined, { "if-match": '"2"' })).status, 204)
      // The next value is a different one, though nobody says so.
      assert.deepInclude((yield* ask("PUT", at, "9")).body, { version: 3 })
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
      for (const json of ["", "{", "nul", "{}{}", "01", "[1,]", "'a'"])
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
