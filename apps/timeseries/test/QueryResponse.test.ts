import { assert, describe, it } from "@effect/vitest"
import { StoreUnavailable } from "@opsbuddy/contract/Problems"
import { layerPlatform } from "@opsbuddy/runtime/App"
import * as Server from "@opsbuddy/runtime/Server"
import { Effect, Stream } from "effect"
import { HttpRouter, HttpServerRespondable, HttpServerResponse } from "effect/http"
import * as QueryResponse from "../src/QueryResponse.ts"
import type { SeriesPart } from "../src/SeriesStore.ts"

const part = (host: string, rows: number, continues = false): SeriesPart => ({
  tags: [["host", host]],
  continues,
  rows: Array.from({ length: rows }, (_, n) => ["1970-01-01T00:00:00Z", n])
})

const failure = Stream.fail(new StoreUnavailable({ applied: "no", detail: "the database is being reopened" }))

/** Serves the parts on the runtime of the test, and gives the address. */
const serve = Effect.fnUntraced(function* (parts: Stream.Stream<SeriesPart, StoreUnavailable>) {
  const respond = QueryResponse.make({ measurement: "m", columns: ["time", "v"], parts }).pipe(
    Effect.catch((problem) =>
      HttpServerRespondable.toResponseOrElse(problem, HttpServerResponse.empty({ status: 500 }))
    )
  )
  const http = yield* HttpRouter.toHttpEffect(HttpRouter.add("GET", "/", respond))
  const port = yield* Server.serve(http, { host: "127.0.0.1", port: 0, drainMillis: 100 })
  return `http://127.0.0.1:${port}/`
})

const get = (parts: Stream.Stream<SeriesPart, StoreUnavailable>) =>
  serve(parts).pipe(
    Effect.flatMap((address) => Effect.promise(() => fetch(address))),
    Effect.flatMap((response) =>
      Effect.map(Effect.exit(Effect.tryPromise(() => response.text())), (body) => [response.status, body] as const)
    ),
    Effect.provide(layerPlatform),
    Effect.scoped
  )

describe("The response to a query", () => {
  it.live("is the JSON of all series, whatever parts they come in", () =>
    Effect.gen(function* () {
      const [status, body] = yield* get(Stream.make(part("a", 2), part("a", 1, true), part("b", 1)))
      assert.strictEqual(status, 200)
      const { series } = JSON.parse(yield* body)
      assert.deepStrictEqual(
        series.map(({ rows, tags }: { rows: Array<unknown>; tags: unknown }) => [tags, rows.length]),
        [
          [{ host: "a" }, 3],
          [{ host: "b" }, 1]
        ]
      )
      const [, empty] = yield* get(Stream.empty)
      assert.strictEqual(yield* empty, '{"series":[]}')
    })
  )

  it.live("is a problem when the first read fails", () =>
    Effect.gen(function* () {
      const [status, body] = yield* get(failure)
      assert.strictEqual(status, 503)
      assert.include(yield* body, "the database is being reopened")
    })
  )

  it.live("breaks off when a later read fails, so that nobody takes it for whole", () =>
    Effect.gen(function* () {
      const rows = Stream.fromIterable(Array.from({ length: 20 }, (_, n) => part(`h${n}`, 2000))).pipe(
        Stream.rechunk(1)
      )
      const [status, body] = yield* get(Stream.concat(rows, failure))
      assert.strictEqual(status, 200)
      assert.strictEqual(body._tag, "Failure")
    })
  )
})
