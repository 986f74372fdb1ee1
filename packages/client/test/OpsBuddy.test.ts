import { assert, describe, it } from "@effect/vitest"
import * as OpsBuddy from "@opsbuddy/client/OpsBuddy"
import { FileId, FileNotFound } from "@opsbuddy/contract/Files"
import { ConfigKey } from "@opsbuddy/contract/Utility"
import { DateTime, Effect } from "effect"
import { FetchHttpClient } from "effect/http"
import { health, serve } from "./server.ts"

const json = "application/json"
const id = FileId.make("01a21530-73e9-7594-ab2a-0e10f5d99bb4")

const clientOf = (baseUrl: string, headers?: Record<string, string>) =>
  OpsBuddy.make({ baseUrl, ...(headers === undefined ? {} : { headers }) }).pipe(Effect.provide(FetchHttpClient.layer))

describe("the client", () => {
  it.live("decodes an answer, and sends its headers with each request", () =>
    Effect.gen(function* () {
      const { arrived, url } = yield* serve({ status: 200, type: json, body: health })
      const client = yield* clientOf(url, { "x-request-id": "mine" })
      const answer = yield* client.health()
      assert.deepStrictEqual([answer.status, answer.service.version], ["healthy", "1.2.3"])
      assert.strictEqual(DateTime.formatIso(answer.timestamp), health.timestamp)
      assert.deepStrictEqual(
        arrived.map(({ headers, method, url }) => [method, url, headers["x-request-id"]]),
        [["GET", "/health", "mine"]]
      )
    })
  )

  it.live("keeps the path of its base address", () =>
    Effect.gen(function* () {
      const { arrived, url } = yield* serve({ status: 200, type: json, body: health })
      yield* Effect.flatMap(clientOf(`${url}/ops/`), (client) => client.health())
      assert.deepStrictEqual(arrived[0]?.url, "/ops/health")
    })
  )

  it.live("encodes parameters, queries and bodies", () =>
    Effect.gen(function* () {
      const { arrived, url } = yield* serve({ status: 200, type: json, body: { items: [] } })
      const client = yield* clientOf(url)
      yield* client.files.list({ query: { limit: 5, name: "a b&c", tag: ["k:v", "x:y z"] } })
      const { pathname, searchParams } = new URL(arrived[0]?.url ?? "", url)
      assert.strictEqual(pathname.replace(/\/$/, ""), "/api/files")
      assert.deepStrictEqual(
        [searchParams.get("limit"), searchParams.get("name"), searchParams.getAll("tag")],
        ["5", "a b&c", ["k:v", "x:y z"]]
      )
      const key = ConfigKey.make("a.b")
      yield* Effect.exit(client.utility.setConfig({ params: { key }, headers: {}, payload: { on: [true, null] } }))
      const { body, headers, method, url: path } = arrived[1] ?? {}
      assert.deepStrictEqual([method, path, body], ["PUT", "/api/utils/configs/a.b", '{"on":[true,null]}'])
      assert.strictEqual(headers?.["content-type"], json)
    })
  )

  it.live("fails with the problem that it is told, as a value of its type, and asks once", () =>
    Effect.gen(function* () {
      const { arrived, url } = yield* serve({
        status: 404,
        type: "application/problem+json",
        body: {
          type: "urn:opsbuddy:problem:file-not-found",
          title: "No such file",
          status: 404,
          detail: "it is gone",
          instance: `/api/files/${id}/metadata`,
          requestId: "r-1",
          id
        }
      })
      const client = yield* clientOf(url)
      const problem = yield* Effect.flip(client.files.stat({ params: { id } }))
      if (!(problem instanceof FileNotFound)) return assert.fail(`failed with ${problem}`)
      assert.deepStrictEqual([problem.id, problem.requestId, problem.detail], [id, "r-1", "it is gone"])
      assert.lengthOf(arrived, 1)
    })
  )

  it.live("asks once of a service that is not well, too", () =>
    Effect.gen(function* () {
      const { arrived, url } = yield* serve({ status: 503, type: "text/plain", body: "no" })
      const client = yield* clientOf(url)
      yield* Effect.flip(client.files.stat({ params: { id } }))
      assert.lengthOf(arrived, 1)
    })
  )
})
