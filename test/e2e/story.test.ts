import { createHash, randomBytes } from "node:crypto"
import { createReadStream, createWriteStream, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as OpsBuddy from "@opsbuddy/client/OpsBuddy"
import type { FileId } from "@opsbuddy/contract/Files"
import { RequestId } from "@opsbuddy/contract/Problems"
import { CommandName } from "@opsbuddy/contract/Utility"
import { Effect, Schedule } from "effect"
import { FetchHttpClient } from "effect/http"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { attempt, curl, discard, processesOf, type System, start } from "./System.ts"

const megabyte = 1 << 20
let system: System
const gateway = () => system.url("gateway")
const file = (name: string) => join(system.data, name)

/** Runs calls of the typed client against the gateway, each with the request id that it is to be found by. */
const call = <A, E>(requestId: string, f: (client: OpsBuddy.OpsBuddy) => Effect.Effect<A, E>) =>
  OpsBuddy.make({ baseUrl: gateway(), headers: { "x-request-id": requestId } }).pipe(
    Effect.flatMap(f),
    Effect.provide(FetchHttpClient.layer),
    Effect.runPromise
  )

const sha256 = (path: string) =>
  new Promise<string>((resolve, reject) => {
    const hash = createHash("sha256")
    createReadStream(path)
      .on("data", (chunk) => hash.update(chunk))
      .on("end", () => resolve(hash.digest("hex")))
      .on("error", reject)
  })

const writeRandomFile = (path: string, megabytes: number) =>
  new Promise<void>((resolve, reject) => {
    const out = createWriteStream(path).on("finish", resolve).on("error", reject)
    const write = (left: number): void => {
      if (left === 0) return void out.end()
      out.write(randomBytes(megabyte), () => write(left - 1))
    }
    write(megabytes)
  })

/** Asks until the answer passes, for what becomes true soon: records are sent in batches. */
const eventually = <A>(ask: () => Promise<A>, passes: (answer: A) => boolean) =>
  Effect.runPromise(
    Effect.tryPromise(ask).pipe(
      Effect.filterOrFail(passes, () => new Error("not yet")),
      Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 150 })
    )
  )

const json = async (path: string, init?: RequestInit) => {
  const response = await fetch(`${gateway()}${path}`, init)
  return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) }
}

/** What analytics knows of a request, as soon as it knows. */
const story = (id: string) =>
  eventually(
    () => json(`/api/analytics/requests/${id}`),
    ({ status }) => status === 200
  )

describe("the whole system", () => {
  beforeAll(async () => {
    system = await start()
  })
  afterAll(() => discard(system))

  it("answers the lines of the README", async () => {
    writeFileSync(file("example.txt"), "an example\n")
    const upload = curl(
      "-X",
      "POST",
      `${gateway()}/api/files/upload`,
      "-F",
      `file=@${file("example.txt")}`,
      "-F",
      'tags={"category":"logs"}'
    )
    const { items } = JSON.parse(upload)
    assert.deepStrictEqual([items[0].name, items[0].size, items[0].tags], ["example.txt", 11, { category: "logs" }])
    assert.isString(JSON.parse(curl(`${gateway()}/api/utils/system/info`)).hostname)
    assert.isArray(JSON.parse(curl(`${gateway()}/api/analytics/metrics`)).items)
    assert.isArray(JSON.parse(curl(`${gateway()}/api/timeseries/query`)).measurements)
    // The gateway asks the others within 100 ms of their start.
    await eventually(
      () => json("/health"),
      ({ body }) => body.status === "healthy"
    )
    for (const { name, url } of system.services) {
      const health = JSON.parse(curl(`${url}/health`))
      assert.deepStrictEqual([health.status, health.service.name], ["healthy", name])
      assert.match(curl(`${url}/docs`), /<html/)
      assert.match(curl(`${url}/openapi.json`), /"openapi":"3\.1/)
      assert.strictEqual(JSON.parse(curl(`${url}/status`)).service.name, name)
    }
  })

  it("gives 100 MB back as they were sent", async () => {
    await writeRandomFile(file("large"), 100)
    const digest = await sha256(file("large"))
    const upload = curl(
      "-H",
      "x-request-id: story-upload",
      `${gateway()}/api/files/upload`,
      "-F",
      `file=@${file("large")}`
    )
    const [info] = JSON.parse(upload).items
    assert.deepStrictEqual([info.size, info.sha256], [100 * megabyte, digest])
    curl("-H", "x-request-id: story-download", "-o", file("back"), `${gateway()}/api/files/${info.id}`)
    assert.strictEqual(statSync(file("back")).size, 100 * megabyte)
    assert.strictEqual(await sha256(file("back")), digest)
  })

  it("gives the mean of 100,000 points that the test computes itself", async () => {
    const from = Date.UTC(2026, 0, 1)
    const values = Array.from({ length: 100_000 }, () => Math.random() * 100)
    const lines = values.map((value, i) => `story,host=h${i % 10} value=${value} ${from + i * 100}`)
    for (let i = 0; i < lines.length; i += 5000) {
      const { points } = await call("story-write", ({ timeseries }) =>
        timeseries.write({ query: { precision: "ms" }, payload: lines.slice(i, i + 5000).join("\n") })
      )
      assert.strictEqual(points, 5000)
    }
    const { series } = await call("story-query", ({ timeseries }) =>
      timeseries.query({
        payload: {
          measurement: "story",
          select: [
            { field: "value", aggregate: "mean" },
            { field: "value", aggregate: "count" }
          ],
          from: "2026-01-01T00:00:00Z",
          to: "2026-02-01T00:00:00Z",
          groupBy: ["host"]
        }
      })
    )
    assert.strictEqual(series.length, 10)
    for (const { rows, tags } of series) {
      const mine = values.filter((_, i) => `h${i % 10}` === tags.host)
      const mean = mine.reduce((sum, value) => sum + value, 0) / mine.length
      assert.approximately(Number(rows[0]?.[1]), mean, 1e-9)
      assert.strictEqual(rows[0]?.[2], 10_000)
    }
  })

  it("runs a command", async () => {
    const run = await call("story-command", ({ utility }) =>
      utility.runCommand({ params: { name: CommandName.make("date") } })
    )
    assert.deepStrictEqual([run.outcome, run.exitCode], ["exited", 0])
    assert.match(run.stdout.text, /20\d\d/)
  })

  it("finds each of these requests in analytics by its request id", async () => {
    const expected = [
      ["story-upload", "files", "POST", 201],
      ["story-download", "files", "GET", 200],
      ["story-query", "timeseries", "POST", 200],
      ["story-command", "utility", "POST", 200]
    ] as const
    for (const [id, service, method, status] of expected) {
      const { body } = await story(id)
      assert.deepStrictEqual(
        [body.request.service, body.request.method, body.request.status],
        [service, method, status]
      )
    }
    const typed = await call("story-lookup", ({ analytics }) =>
      analytics.request({ params: { id: RequestId.make("story-write") } })
    )
    assert.strictEqual(typed.request.route, "timeseries")
  })

  it("watches itself from the start on", async () => {
    const { body } = await eventually(
      () => json("/api/timeseries/query"),
      ({ body }) =>
        ["process", "host_cpu", "host_memory"].every((name) =>
          body.measurements.some((measurement: { readonly name: string }) => measurement.name === name)
        )
    )
    const process = body.measurements.find((measurement: { readonly name: string }) => measurement.name === "process")
    assert.include(process.tags, "service")
    const { body: answer } = await json("/api/timeseries/query?measurement=process&select=last(rss)&groupBy=service")
    assert.sameMembers(
      answer.series.map(({ tags }: { readonly tags: { readonly service: string } }) => tags.service),
      ["gateway", "files", "utility", "analytics", "timeseries"]
    )
  })

  it("refuses a second start on the same data", async () => {
    const { code, output } = await attempt(["--data", system.data, "--port-base", "0"])
    assert.notStrictEqual(code, 0)
    assert.include(output, system.data)
  })

  it("loses no acknowledged upload when the files service is killed under load, and explains meanwhile", async () => {
    const acknowledged = new Map<FileId, string>()
    const refused: Array<{
      readonly type: string
      readonly upstream: string
      readonly detail: string
      readonly millis: number
    }> = []
    let stopped = false
    const upload = async (worker: number, n: number) => {
      const content = `${worker}-${n}-${randomBytes(8).toString("hex")}`
      const form = new FormData()
      form.append("file", new Blob([content]), `load-${worker}-${n}.txt`)
      const before = performance.now()
      const response = await fetch(`${gateway()}/api/files/upload`, { method: "POST", body: form })
      const body = JSON.parse(await response.text())
      if (response.status === 201) acknowledged.set(body.items[0].id, content)
      else refused.push({ ...body, millis: performance.now() - before })
    }
    const workers = Array.from({ length: 8 }, async (_, worker) => {
      for (let n = 0; !stopped; n++) await upload(worker, n)
    })
    const enough = (n: number) =>
      eventually(
        async () => acknowledged.size,
        (size) => size >= n
      )
    await enough(20)
    const { body: status } = await json("/status")
    const before = await (await fetch(`${system.url("files")}/status`)).json()
    process.kill(before.runtime.pid, "SIGKILL")
    await eventually(
      async () => refused.map(({ type }) => type),
      (types) => types.includes("urn:opsbuddy:problem:circuit-open")
    )
    const atKill = acknowledged.size
    await enough(atKill + 20)
    stopped = true
    await Promise.all(workers)

    const types = refused.map(({ type }) => type.replace("urn:opsbuddy:problem:", ""))
    assert.include(types, "connect-failed")
    assert.isBelow(types.indexOf("connect-failed"), types.indexOf("circuit-open"))
    assert.isTrue(refused.every(({ upstream }) => upstream === "files"))
    assert.match(
      refused.find(({ type }) => type.endsWith("circuit-open"))?.detail ?? "",
      /\d+ consecutive failures, last: /
    )
    const open = refused
      .filter(({ type }) => type.endsWith("circuit-open"))
      .map(({ millis }) => millis)
      .sort((a, b) => a - b)
    assert.isBelow(open[Math.floor(open.length / 2)] ?? 0, 100)

    const { body: after } = await json("/status")
    const files = after.upstreams.find(({ name }: { readonly name: string }) => name === "files")
    assert.strictEqual(files.circuit.state, "closed")
    assert.strictEqual(status.service.name, "gateway")
    const again = await (await fetch(`${system.url("files")}/status`)).json()
    assert.notStrictEqual(again.runtime.pid, before.runtime.pid)
    for (const [id, content] of acknowledged) {
      const response = await fetch(`${gateway()}/api/files/${id}`)
      assert.strictEqual(await response.text(), content)
    }
  })

  it("stops everything and leaves nothing running", async () => {
    const running = processesOf(system.data).length
    assert.isAtLeast(running, 6)
    const { code, tookMillis } = await system.stop()
    assert.strictEqual(code, 0)
    assert.isBelow(tookMillis, 10_000)
    assert.deepStrictEqual(processesOf(system.data), [])
  })
})
