import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const name = "[a-zA-Z_:][a-zA-Z0-9_:]*"
const sampleLine = new RegExp(`^(${name})(?:\\{(.*)\\})? ([-+]?(?:[0-9.]+(?:e[-+]?[0-9]+)?|Inf)|NaN)$`, "i")
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y

const labelsOf = (text: string) => {
  const labels: Record<string, string> = {}
  label.lastIndex = 0
  while (label.lastIndex < text.length) {
    const at = label.lastIndex
    const found = label.exec(text)
    if (found === null) return assert.fail(`no label at ${at} of ${text}`)
    const [, key = "", value = ""] = found
    assert.notProperty(labels, key)
    labels[key] = value.replace(/\\(.)/g, (_, character) => (character === "n" ? "\n" : character))
  }
  return labels
}

/** Reads Prometheus' text format strictly (https://prometheus.io/docs/instrumenting/exposition_formats/). */
const parse = (text: string): ReadonlyArray<Sample> => {
  assert.isTrue(text.endsWith("\n"))
  const types = new Map<string, string>()
  const series = new Set<string>()
  const samples: Array<Sample> = []
  let current = ""
  for (const line of text.split("\n")) {
    if (line === "") continue
    const type = new RegExp(`^# TYPE (${name}) (counter|gauge|histogram|summary|untyped)$`).exec(line)
    if (type !== null) {
      const [, of = "", kind = ""] = type
      assert.isFalse(types.has(of), `${of} is typed twice`)
      types.set(of, kind)
      current = of
      continue
    }
    if (line.startsWith("#")) {
      assert.match(line, new RegExp(`^# HELP ${name} .+$`))
      continue
    }
    const found = sampleLine.exec(line)
    if (found === null) return assert.fail(`not a sample: ${line}`)
    const [, sample = "", labels = "", value = ""] = found
    const suffix = types.get(current) === "histogram" ? /_(bucket|sum|count)$/ : /$^/
    assert.strictEqual(sample.replace(suffix, ""), current, line)
    const key = `${sample}{${labels}}`
    assert.isFalse(series.has(key), `${key} is there twice`)
    series.add(key)
    samples.push({ name: sample, labels: labelsOf(labels), value: Number(value.replace(/Inf$/, "Infinity")) })
  }
  return samples
}

const read = (port: number) => Effect.map(ask(port, "/metrics"), ({ body }) => parse(body.toString()))

const find = (samples: ReadonlyArray<Sample>, wanted: string, labels: Readonly<Record<string, string>>) =>
  samples.find(
    (sample) =>
      sample.name === `opsbuddy_gateway_${wanted}` &&
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value)
  )?.value

describe("Metrics", () => {
  it.live("can be read by Prometheus, and tell what has happened", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* Upstream.make(Upstream.replies("503 No")), yield* Upstream.make()]
      const route = 'odd "\\" name'
      const port = yield* Gateway.make({
        targets: [a.url, b.url],
        upstream: { health: "off" },
        route: { name: route, limit: { rate: "4/h" } }
      })
      for (let i = 0; i < 6; i++) yield* ask(port, "/shop", { method: "GET" })
      const samples = yield* read(port)
      const upstream = "shop"
      assert.strictEqual(find(samples, "requests_total", { route, upstream, status: "2xx" }), 4)
      assert.strictEqual(find(samples, "requests_total", { route, upstream, status: "4xx" }), 2)
      assert.strictEqual(find(samples, "refusals_total", { route, cause: "rate-limited" }), 2)
      assert.strictEqual(find(samples, "retries_total", { route }), a.requests.length)
      assert.strictEqual(find(samples, "request_duration_seconds_count", { route }), 6)
      assert.strictEqual(find(samples, "request_duration_seconds_bucket", { route, le: "+Inf" }), 6)
      assert.strictEqual(find(samples, "circuit_state", { upstream }), 0)
      assert.strictEqual(find(samples, "upstream_active", { upstream }), 0)
      assert.strictEqual(find(samples, "target_requests_total", { upstream, target: a.url }), a.requests.length)
      assert.strictEqual(find(samples, "target_failures_total", { upstream, target: a.url }), a.requests.length)
      assert.strictEqual(find(samples, "target_failures_total", { upstream, target: b.url }), 0)
      assert.strictEqual(find(samples, "target_up", { upstream, target: b.url }), 1)
      assert.strictEqual(find(samples, "config_revision", {}), 1)
      const buckets = samples.filter(({ name }) => name === "opsbuddy_gateway_request_duration_seconds_bucket")
      const ours = buckets.filter(({ labels }) => labels.route === route).map(({ value }) => value)
      assert.deepStrictEqual(
        ours,
        [...ours].sort((one, other) => one - other)
      )
    })
  )

  it.live("have no more series, whatever clients ask for", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.make()
      const port = yield* Gateway.make({ targets: [upstream.url], upstream: { health: "off" } })
      const round = (start: number) =>
        Effect.forEach(
          Array.from({ length: 20 }, (_, index) => start + index),
          (index) =>
            Effect.gen(function* () {
              const headers = { Host: `${index}.example.com`, "X-Request-Id": `${index}`, "User-Agent": `${index}` }
              yield* ask(port, `/shop/${index}?${index}`, { headers, method: index % 2 === 0 ? "GET" : `M${index}` })
              yield* ask(port, `/none/${index}`, { headers })
            }).pipe(Effect.ignoreCause)
        )
      const names = (samples: ReadonlyArray<Sample>) =>
        new Set(
          samples
            .filter(({ name }) => name.startsWith("opsbuddy_gateway_"))
            .map(({ labels, name }) => `${name}${JSON.stringify(labels)}`)
        )
      yield* round(0)
      const before = names(yield* read(port))
      yield* round(1000)
      const samples = yield* read(port)
      assert.deepStrictEqual(names(samples), before)
      assert.isAtLeast(find(samples, "refusals_total", { route: "none", cause: "no-route" }) ?? 0, 40)
    })
  )
})
