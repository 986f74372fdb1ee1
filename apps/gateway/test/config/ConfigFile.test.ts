import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Breaker from "@opsbuddy/resilience/Breaker"
import * as Concurrency from "@opsbuddy/resilience/Concurrency"
import * as Outliers from "@opsbuddy/resilience/Outliers"
import * as Retry from "@opsbuddy/resilience/Retry"
import { Duration, Effect } from "effect"
import * as ConfigFile from "../../src/config/ConfigFile.ts"
import { show } from "../../src/config/Mistake.ts"
import type { GatewayConfig } from "../../src/GatewayConfig.ts"
import { builtIn, example, full, load } from "./documents.ts"

const upstream = ({ upstreams }: GatewayConfig, name: string) =>
  upstreams.find((_) => _.name === name) ?? assert.fail(`no upstream ${name}`)

const route = ({ routes }: GatewayConfig, name: string) =>
  routes.find((_) => _.name === name) ?? assert.fail(`no route ${name}`)

const least = (upstreams = "", routes = "") => `
upstreams: { shop: { targets: ["http://a:1"] ${upstreams} } }
routes: [{ path: /shop, upstream: shop ${routes} }]
`

describe("a configuration file", () => {
  it("has the defaults that the example shows, and those of the policies", () => {
    const written = load(example).config
    const { config } = load(least())
    const { name: _, targets, ...policies } = upstream(config, "shop")
    assert.deepStrictEqual(targets, [{ url: "http://a:1", weight: 1 }])
    const { name: __, targets: ___, ...shown } = upstream(written, "shop")
    assert.deepStrictEqual(policies, shown)
    assert.deepStrictEqual(policies, {
      balance: { _tag: "RoundRobin" },
      timeouts: {
        attempt: Duration.seconds(5),
        upload: Duration.hours(1),
        idle: Duration.seconds(60),
        total: Duration.seconds(30)
      },
      retry: Retry.defaultPolicy,
      circuit: Breaker.defaultPolicy,
      outliers: Outliers.defaultPolicy,
      health: {
        path: "/health",
        every: Duration.seconds(10),
        timeout: Duration.seconds(3),
        healthyAfter: 1,
        unhealthyAfter: 2
      },
      concurrency: Concurrency.defaultPolicy
    })
    assert.deepStrictEqual(route(written, "shop").limit, {
      rate: 100,
      per: Duration.seconds(1),
      burst: 200,
      by: { _tag: "Client" }
    })
    assert.strictEqual(route(written, "shop").maxBody, 10 * 1024 * 1024)
    assert.deepStrictEqual(route(config, "/shop"), {
      name: "/shop",
      host: undefined,
      path: "/shop",
      match: "prefix",
      methods: [],
      headers: [],
      upstream: "shop",
      redirect: undefined,
      replacePrefix: undefined,
      requestHeaders: { set: [], remove: [] },
      responseHeaders: { set: [], remove: [] },
      maxBody: undefined,
      limit: undefined,
      cors: undefined,
      securityHeaders: false,
      timeouts: {},
      retry: {}
    })
  })

  it("says of an upstream what it says", () => {
    const { config } = load(full)
    assert.deepStrictEqual(upstream(config, "shop"), {
      name: "shop",
      targets: [
        { url: "http://10.0.0.3:9000", weight: 1 },
        { url: "https://[::1]:9443", weight: 3 },
        { url: "dns://shop.internal:9000", weight: 1 }
      ],
      balance: { _tag: "Hash", by: { _tag: "Header", name: "x-user" } },
      timeouts: {
        attempt: Duration.millis(500),
        upload: Duration.hours(2),
        idle: Duration.seconds(90),
        total: Duration.seconds(10)
      },
      retry: { attempts: 3, budget: 0.5, backoff: { base: Duration.millis(50), max: Duration.seconds(2) } },
      circuit: {
        consecutiveFailures: 3,
        failureRate: { threshold: 0.4, minimumCalls: 10, calls: 50 },
        slowCall: Duration.seconds(2),
        openFor: Duration.seconds(30),
        probeTimeout: Duration.seconds(10)
      },
      outliers: {
        consecutiveFailures: 2,
        ejectFor: Duration.seconds(5),
        maxEjectFor: Duration.minutes(1),
        maxEjected: 0.3
      },
      health: {
        path: "/up",
        every: Duration.minutes(1),
        timeout: Duration.seconds(1),
        healthyAfter: 2,
        unhealthyAfter: 3
      },
      concurrency: { max: 10, queue: 0, wait: Duration.millis(100) }
    })
    const plain = upstream(config, "plain")
    assert.isUndefined(plain.health)
    assert.deepStrictEqual(plain.balance, { _tag: "Hash", by: { _tag: "Client" } })
    // A failure rate alone is in place of the failures in a row.
    assert.isUndefined(plain.circuit.consecutiveFailures)
    assert.deepStrictEqual(plain.circuit.failureRate, { threshold: 0.5, minimumCalls: 20, calls: 100 })
  })

  it("says of a route what it says", () => {
    const { config } = load(full)
    assert.deepStrictEqual(route(config, "The Shop"), {
      name: "The Shop",
      host: "*.example.com",
      path: "/shop/v2",
      match: "prefix",
      methods: ["GET", "PURGE"],
      headers: [
        ["x-version", "2"],
        ["x-any", "*"]
      ],
      upstream: "shop",
      redirect: undefined,
      replacePrefix: "/v2",
      requestHeaders: { set: [["x-from", "gateway"]], remove: ["cookie"] },
      responseHeaders: { set: [["server", "shop"]], remove: ["x-powered-by"] },
      maxBody: 500_000,
      limit: { rate: 30, per: Duration.minutes(1), burst: 5, by: { _tag: "Header", name: "x-key" } },
      cors: {
        origins: ["https://app.example.com"],
        methods: ["GET"],
        headers: ["x-user"],
        exposedHeaders: ["x-total"],
        credentials: true,
        maxAge: Duration.hours(1)
      },
      securityHeaders: true,
      timeouts: { attempt: Duration.seconds(1) },
      // What it does not say of the backoff is its upstream's.
      retry: { attempts: 1, backoff: { base: Duration.millis(50), max: Duration.seconds(3) } }
    })
    assert.deepStrictEqual(config.trustedProxies, ["10.0.0.0/8", "fd00::/8"])
    assert.deepStrictEqual(config.rateLimits, { redis: "redis://user:word@redis:6379/1", whenGone: "refuse" })
  })

  it("calls a route that has no name by what it takes", () => {
    const { config } = load(full)
    assert.deepStrictEqual(
      config.routes.map(({ name }) => name),
      ["The Shop", "=/plain", "www.example.com/", "/old", "files", "utility", "analytics"]
    )
    const [plain, redirect, old] = ["=/plain", "www.example.com/", "/old"].map((name) => route(config, name))
    assert.deepInclude(plain, { path: "/plain", match: "exact", replacePrefix: "" })
    assert.deepStrictEqual(plain?.limit, { rate: 10, per: Duration.hours(1), burst: 10, by: { _tag: "Client" } })
    assert.deepInclude(redirect, { path: "/", match: "prefix", upstream: undefined })
    assert.deepStrictEqual(redirect?.redirect, { to: "https://example.com/", status: 308 })
    assert.deepStrictEqual(old?.redirect, { to: "/shop/v2", status: 302 })
    assert.strictEqual(route(load(least("", ", methods: [GET, PUT]")).config, "GET,PUT /shop").path, "/shop")
  })

  it("may say nothing at all", () => {
    for (const text of ["", "# nothing yet\n", "---\n", "{}", "\uFEFF\n"]) {
      const { config, effective } = load(text)
      assert.deepStrictEqual(
        config.routes.map(({ name, path, upstream }) => [name, path, upstream]),
        [
          ["files", "/api/files", "files"],
          ["utility", "/api/utils", "utility"],
          ["analytics", "/api/analytics", "analytics"],
          ["timeseries", "/api/timeseries", "timeseries"]
        ]
      )
      assert.deepStrictEqual(upstream(config, "analytics").targets, [
        { url: "http://127.0.0.1:8003", weight: 1 },
        { url: "http://127.0.0.1:9003", weight: 1 }
      ])
      assert.deepStrictEqual(upstream(config, "files").timeouts.attempt, Duration.seconds(30))
      assert.deepStrictEqual(upstream(config, "files").health?.every, Duration.seconds(5))
      assert.deepStrictEqual(config.rateLimits, { redis: undefined, whenGone: "local" })
      assert.isTrue(effective.origins.every(({ from }) => from === "built-in"))
    }
  })

  it("replaces what is built in by name, and disables it", () => {
    const { config } = load(`
upstreams:
  files: { targets: [http://files:1] }
  utility: { disabled: true }
routes:
  - { name: analytics, path: /logs, upstream: analytics }
  - { name: utility, disabled: true }
`)
    assert.deepStrictEqual(upstream(config, "files").targets, [{ url: "http://files:1", weight: 1 }])
    assert.deepStrictEqual(upstream(config, "files").health?.every, Duration.seconds(10))
    assert.deepStrictEqual(
      config.upstreams.map(({ name }) => name),
      ["files", "analytics", "timeseries"]
    )
    assert.deepStrictEqual(
      config.routes.map(({ name, path }) => [name, path]),
      [
        ["analytics", "/logs"],
        ["files", "/api/files"],
        ["timeseries", "/api/timeseries"]
      ]
    )
  })

  it("takes an alias for the value that it stands for", () => {
    const { config } = load(`
upstreams:
  a: { targets: [http://a:1], timeouts: &slow { attempt: 20s } }
  b: { targets: [http://b:1], timeouts: *slow }
routes: []
`)
    assert.deepStrictEqual(upstream(config, "b").timeouts, upstream(config, "a").timeouts)
    assert.deepStrictEqual(upstream(config, "b").timeouts.attempt, Duration.seconds(20))
  })

  it("has fingerprints that tell what has changed", () => {
    const { fingerprints: before } = load(full)
    const reordered = load(full.replace("{ attempt: 500ms, upload: 2h,", "{ upload: 120m, attempt: 500ms,"))
    assert.deepStrictEqual(reordered.fingerprints, before)
    const { fingerprints: after } = load(full.replace("upload: 2h", "upload: 3h").replace("308", "301"))
    const changed = (old: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>) =>
      [...now].filter(([name, fingerprint]) => old.get(name) !== fingerprint).map(([name]) => name)
    assert.deepStrictEqual(changed(before.upstreams, after.upstreams), ["shop"])
    assert.deepStrictEqual(changed(before.routes, after.routes), ["www.example.com/"])
    assert.strictEqual(new Set(after.routes.values()).size, after.routes.size)
  })
})

describe("the effective configuration", () => {
  it("is a file that means the same", () => {
    for (const text of ["", example, full]) {
      const { config, effective, fingerprints } = load(text.replace("user:word@", ""))
      const again = load(JSON.stringify(effective.document), {})
      assert.deepStrictEqual(again.config, config)
      assert.deepStrictEqual(again.fingerprints, fingerprints)
    }
  })

  it("tells where each value comes from", () => {
    const { origins } = load(full).effective
    const of = (path: string) => origins.find((origin) => origin.path === path)
    const lines = full.split("\n")
    for (const [path, text] of [
      ["upstreams.shop.targets[0].url", "http://10.0.0.3:9000"],
      ["upstreams.shop.targets[1].weight", "3 }"],
      ["upstreams.shop.circuit.failureRate.calls", "50 }"],
      ["upstreams.plain.health", "off"],
      ["routes[0].requestHeaders.set.X-From", "gateway }"],
      ["routes[0].methods", "[GET, PURGE]"],
      ["trustedProxies", "[10.0.0.0/8"]
    ] as const) {
      const origin = of(path)
      assert.strictEqual(origin?.from, "file", path)
      const line = lines[(origin?.line ?? 0) - 1] ?? ""
      assert.isTrue(line.slice((origin?.column ?? 0) - 1).startsWith(text), `${path} at ${line}`)
    }
    assert.deepStrictEqual(of("upstreams.files.timeouts.attempt"), {
      path: "upstreams.files.timeouts.attempt",
      from: "built-in"
    })
    assert.isUndefined(of("upstreams.files.timeouts.idle"))
    assert.isUndefined(of("routes[1].name"))
  })

  it("shows no secrets", () => {
    const { effective } = load(
      least("", ", requestHeaders: { set: { Authorization: Bearer s3cret, X-Api-Key: s3cret, X-From: us } }").concat(
        'rateLimits: { redis: "rediss://:s3cret@redis:6379" }'
      )
    )
    const shown = JSON.stringify(effective.document)
    assert.notInclude(shown, "s3cret")
    assert.include(shown, "rediss://:<hidden>@redis:6379")
    assert.include(shown, '"X-From":"us"')
  })
})

describe("ConfigFile.load", () => {
  const folder = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "opsbuddy-config-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )
  const mistakeOf = (file: string) =>
    Effect.map(Effect.flip(ConfigFile.load(file, builtIn)), ({ mistakes }) => mistakes.map(show))

  it.effect("reads a file, and says what is wrong with one that cannot be read", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const file = join(path, "opsbuddy.yaml")
      writeFileSync(file, full)
      assert.deepStrictEqual((yield* ConfigFile.load(file, builtIn)).config, load(full).config)
      assert.deepStrictEqual(yield* mistakeOf(`${file}x`), [`${file}x:1:1 is not there`])
      assert.deepStrictEqual(yield* mistakeOf(path), [`${path}:1:1 is not a file`])
      writeFileSync(file, `# ${"x".repeat(1024 * 1024)}`)
      assert.deepStrictEqual(yield* mistakeOf(file), [`${file}:1:1 is larger than 1 MiB`])
      writeFileSync(file, "routes: [1]\nupstreams: 2\n")
      const invalid = yield* Effect.flip(ConfigFile.load(file, builtIn))
      assert.strictEqual(
        invalid.message,
        `the configuration file is not valid:\n  ${file}:1:10 routes[0]: must be a mapping, not 1\n` +
          `  ${file}:2:12 upstreams: must be a mapping, not 2`
      )
    }).pipe(Effect.provide(NodeFileSystem.layer), Effect.scoped)
  )
})
