import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Address, get, post, request, write } from "./server.ts"

layer(Address.layer, { excludeTestServices: true })("The timeseries app", (it) => {
  it.effect("lists measurements and says how to ask, when asked without parameters", () =>
    Effect.gen(function* () {
      yield* write("listed,host=a v=1,n=1i 1\nlisted,dc=1 v=1 1")
      const { body, status } = yield* get([])
      assert.strictEqual(status, 200)
      assert.include(String(body.usage), "?measurement=")
      assert.deepInclude(body.measurements, {
        name: "listed",
        fields: [
          { name: "n", type: "integer" },
          { name: "v", type: "float" }
        ],
        tags: ["dc", "host"],
        seriesCount: 2
      })
    })
  )

  it.effect("answers parameters as it answers the same query as JSON", () =>
    Effect.gen(function* () {
      const lines = [...Array(40).keys()].map((n) => `same,host=h:${n % 3},dc=d${n % 2} v=${n},w=${n}i ${1000 + n}`)
      assert.deepStrictEqual((yield* write(lines.join("\n"), "/api/timeseries/write?precision=s")).body, { points: 40 })
      const common = {
        measurement: "same",
        from: "1970-01-01T00:16:45Z",
        to: "1030000000000",
        fill: "none",
        order: "desc"
      } as const
      const asJson = yield* post({
        ...common,
        select: [
          { field: "v", aggregate: "mean" },
          { field: "w", aggregate: "last" }
        ],
        where: { host: ["h:0", "h:1"], dc: "d1" },
        every: "10s",
        groupBy: ["host", "dc"],
        limit: 2
      })
      const asParameters = yield* get([
        ...Object.entries(common),
        ["select", "mean(v)"],
        ["select", "last(w)"],
        ["where", "host:h:0"],
        ["where", "dc:d1"],
        ["where", "host:h:1"],
        ["every", "10s"],
        ["groupBy", "host"],
        ["groupBy", "dc"],
        ["limit", "2"]
      ])
      assert.strictEqual(asJson.status, 200)
      assert.deepStrictEqual(asParameters.body, asJson.body)
      assert.deepStrictEqual(asJson.body.series, [
        {
          measurement: "same",
          tags: { host: "h:0", dc: "d1" },
          columns: ["time", "mean(v)", "last(w)"],
          rows: [
            ["1970-01-01T00:17:00Z", 24, 27],
            ["1970-01-01T00:16:50Z", 15, 15]
          ]
        },
        {
          measurement: "same",
          tags: { host: "h:1", dc: "d1" },
          columns: ["time", "mean(v)", "last(w)"],
          rows: [
            ["1970-01-01T00:17:00Z", 25, 25],
            ["1970-01-01T00:16:50Z", 16, 19]
          ]
        }
      ])
      const plain = yield* get([
        ["measurement", "same"],
        ["select", "v"],
        ["from", "0"],
        ["to", "1001s"]
      ])
      assert.strictEqual(plain.status, 400)
      const fields = yield* get([
        ["measurement", "same"],
        ["select", "v"],
        ["from", "0"],
        ["to", "1002000000000"]
      ])
      assert.deepStrictEqual(
        fields.body.series?.map(({ rows, tags }) => [tags, ...rows]),
        [
          [{ dc: "d0", host: "h:0" }, ["1970-01-01T00:16:40Z", 0]],
          [{ dc: "d1", host: "h:1" }, ["1970-01-01T00:16:41Z", 1]]
        ]
      )
    })
  )

  it.effect("answers points without a time as of now, in the hour that a query takes by itself", () =>
    Effect.gen(function* () {
      yield* write("now v=1")
      const { body } = yield* post({ measurement: "now", select: [{ field: "v", aggregate: "count" }], to: "+1h" })
      assert.deepStrictEqual(body.series?.[0]?.rows[0]?.[1], 1)
    })
  )

  it.effect("takes lines under the content types that clients send, and no other", () =>
    Effect.gen(function* () {
      for (const type of [
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "application/x-www-form-urlencoded"
      ]) {
        const body = "typed,é=ü v=1 1"
        const answer = yield* request("/api/timeseries/write", {
          method: "POST",
          body,
          headers: { "content-type": type }
        })
        assert.deepStrictEqual([type, answer.status, answer.body], [type, 200, { points: 1 }])
      }
      const json = yield* request("/api/timeseries/write", {
        method: "POST",
        body: "{}",
        headers: { "content-type": "application/json" }
      })
      assert.strictEqual(json.status, 415)
    })
  )

  it.effect("refuses a batch with a wrong line as a problem that tells the line, and stores nothing of it", () =>
    Effect.gen(function* () {
      const { body, status, type } = yield* write("whole v=1 1\nwhole v= 2\n\nwhole")
      assert.strictEqual(status, 400)
      assert.strictEqual(type, "application/problem+json")
      assert.strictEqual(body.type, "urn:opsbuddy:problem:invalid-lines")
      assert.strictEqual(body.detail, 'line 2: field "v" has no value')
      assert.deepStrictEqual(body.lines, [
        { line: 2, message: 'field "v" has no value' },
        { line: 4, message: "there are no fields" }
      ])
      const asked = yield* get([
        ["measurement", "whole"],
        ["select", "v"]
      ])
      assert.strictEqual(asked.status, 404)
      assert.strictEqual(asked.body.type, "urn:opsbuddy:problem:measurement-not-found")
      assert.strictEqual(asked.body.measurement, "whole")
      yield* write("whole v=1 1")
      const conflict = yield* write("whole v=1i 1")
      assert.strictEqual(conflict.body.detail, 'line 1: field "v" of "whole" is float, the line has integer')
    })
  )

  it.effect("refuses a body of more than 16 MiB, and takes one that is a little smaller", () =>
    Effect.gen(function* () {
      const line = "sizes v=1 1\n"
      const large = line.repeat((16 * 1024 * 1024) / line.length + 1)
      const refused = yield* write(large)
      assert.deepStrictEqual([refused.status, refused.body.type], [413, "urn:opsbuddy:problem:body-too-large"])
      const taken = yield* write(`# ${"x".repeat(15 * 1024 * 1024)}\n${line}`)
      assert.deepStrictEqual([taken.status, taken.body], [200, { points: 1 }])
    })
  )

  it.effect("refuses what is not UTF-8, so that two tags never become one", () =>
    Effect.gen(function* () {
      for (const byte of [0xfe, 0xff]) {
        const body = Buffer.from("bytes,t=? v=1 1")
        body[8] = byte
        const refused = yield* request("/api/timeseries/write", {
          method: "POST",
          body,
          headers: { "content-type": "text/plain" }
        })
        assert.deepStrictEqual(
          [refused.status, refused.body.type, refused.body.detail],
          [400, "urn:opsbuddy:problem:invalid-request", "payload: Expected UTF-8, got something else at byte 8"]
        )
      }
      yield* write("bytes,t=\ufffd v=1 1")
      const { body } = yield* post({ measurement: "bytes", select: [{ field: "v" }], from: "0" })
      assert.deepStrictEqual(
        body.series?.map(({ tags }) => tags),
        [{ t: "\ufffd" }]
      )
    })
  )

  it.effect("says which parameter is wrong or missing", () =>
    Effect.gen(function* () {
      yield* write("asked v=1 1")
      const field = (...parameters: ReadonlyArray<readonly [string, string]>) =>
        Effect.map(get(parameters), ({ body, status }) => [status, body.field])
      assert.deepStrictEqual(yield* field(["limit", "1"]), [400, "measurement"])
      assert.deepStrictEqual(yield* field(["measurement", "asked"]), [400, "select"])
      assert.deepStrictEqual(yield* field(["measurement", "asked"], ["select", "w"]), [400, "select"])
      assert.deepStrictEqual(yield* field(["measurement", "asked"], ["select", "v"], ["where", "host"]), [400, "where"])
      const undecodable = yield* get([
        ["measurement", "asked"],
        ["select", "v"],
        ["limit", "many"],
        ["colour", "red"]
      ])
      assert.strictEqual(undecodable.body.type, "urn:opsbuddy:problem:invalid-request")
    })
  )

  it.effect("keeps tags apart whose names mean something to JavaScript", () =>
    Effect.gen(function* () {
      yield* write("odd,__proto__=p,constructor=c,toString=t v=1 1")
      const query = { measurement: "odd", select: [{ field: "v" }], from: "0", groupBy: ["__proto__", "constructor"] }
      const { body } = yield* post(query)
      assert.deepStrictEqual(Object.entries(body.series?.[0]?.tags ?? {}), [
        ["__proto__", "p"],
        ["constructor", "c"]
      ])
    })
  )

  it.effect("gives the mean of a hundred thousand points that many clients wrote", () =>
    Effect.gen(function* () {
      const batches = [...Array(20).keys()].map((batch) =>
        [...Array(5000).keys()].map((n) => `load,host=h${n % 10} v=${batch * 5000 + n} ${batch * 5000 + n}`).join("\n")
      )
      const answers = yield* Effect.forEach(batches, (batch) => write(batch), { concurrency: 8 })
      assert.isTrue(answers.every(({ status }) => status === 200))
      const select = [
        { field: "v", aggregate: "mean" },
        { field: "v", aggregate: "count" }
      ]
      const { body } = yield* post({ measurement: "load", select, from: "0" })
      assert.deepStrictEqual(body.series?.[0]?.rows, [["1970-01-01T00:00:00Z", 49_999.5, 100_000]])
    })
  )

  it.effect("is healthy, and tells where its data is and how big", () =>
    Effect.gen(function* () {
      yield* write("sized v=1 1")
      assert.deepInclude((yield* request("/health")).body, { status: "healthy", database: "healthy" })
      const { storage } = (yield* request("/status")).body
      assert.match(JSON.stringify(storage), /"kind":"duckdb","location":".*timeseries\.duckdb","bytes":[1-9]/)
    })
  )
})
