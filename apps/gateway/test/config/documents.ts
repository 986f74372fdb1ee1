import { assert } from "@effect/vitest"
import { Result } from "effect"
import * as BuiltIn from "../../src/config/BuiltIn.ts"
import { decode, type Loaded } from "../../src/config/ConfigFile.ts"
import { type Mistake, show } from "../../src/config/Mistake.ts"

export const builtIn = BuiltIn.document({
  filesUrls: ["http://127.0.0.1:8001"],
  utilityUrls: ["http://127.0.0.1:8002"],
  analyticsUrls: ["http://127.0.0.1:8003", "http://127.0.0.1:9003"],
  timeseriesUrls: ["http://127.0.0.1:8004"]
})

export const read = (text: string, under = builtIn) => decode({ file: "opsbuddy.yaml", text }, under)

/** Fails the test with the mistakes, when there are any. */
export const load = (text: string, under = builtIn): Loaded => {
  const result = read(text, under)
  return Result.isSuccess(result) ? result.success : assert.fail(result.failure.map(show).join("\n"))
}

export const mistakes = (text: string, under = builtIn): ReadonlyArray<Mistake> =>
  Result.match(read(text, under), { onSuccess: () => [], onFailure: (found) => found })

/** The shape that users were promised: every setting there is its default. */
export const example = `
upstreams:
  shop:
    targets:
      - url: http://10.0.0.3:9000
        weight: 1
      - url: dns://shop:9000            # every address of the name, looked up again
    balance: round-robin                # | least-requests | weighted | hash
    timeouts: { attempt: 5s, idle: 60s, total: 30s }
    retry: { attempts: 2, budget: 0.2 }
    circuit: { consecutiveFailures: 5, openFor: 60s }
    health: { path: /health, every: 10s }
    concurrency: { max: 512, queue: 128 }
routes:
  - name: shop
    path: /shop                         # this path and all below it
    methods: [GET, POST]
    upstream: shop
    limit: { rate: 100/s, burst: 200, by: client }
    maxBody: 10MiB
`

/** Every setting, each with a value that is not its default. */
export const full = `
upstreams:
  shop:
    targets: [http://10.0.0.3:9000, { url: "https://[::1]:9443/", weight: 3 }, { url: dns://shop.internal:9000 }]
    balance: { hash: { by: header:X-User } }
    timeouts: { attempt: 500ms, upload: 2h, idle: 90s, total: 10s }
    retry: { attempts: 3, budget: 0.5, backoff: { base: 50ms, max: 2s } }
    circuit:
      consecutiveFailures: 3
      failureRate: { threshold: 0.4, minimumCalls: 10, calls: 50 }
      slowCall: 2s
      openFor: 30s
      probeTimeout: 10s
    outliers: { consecutiveFailures: 2, ejectFor: 5s, maxEjectFor: 1m, maxEjected: 0.3 }
    health: { path: /up, every: 1m, timeout: 1s, healthyAfter: 2, unhealthyAfter: 3 }
    concurrency: { max: 10, queue: 0, wait: 100ms }
  plain: { targets: [http://plain:80], health: off, circuit: { failureRate: {} }, balance: hash }
  old: { disabled: true, targets: [http://old:80] }
routes:
  - name: The Shop
    host: "*.Example.com"
    path: /shop/v2
    methods: [GET, PURGE]
    headers: { X-Version: "2", x-any: "*" }
    upstream: shop
    timeouts: { attempt: 1s }
    retry: { attempts: 1, backoff: { max: 3s } }
    replacePrefix: /v2
    requestHeaders: { set: { X-From: gateway }, remove: [Cookie] }
    responseHeaders: { set: { Server: shop }, remove: [X-Powered-By] }
    limit: { rate: 30/m, burst: 5, by: header:X-Key }
    maxBody: 500 kB
    cors:
      origins: [https://app.example.com]
      methods: [GET]
      headers: [x-user]
      exposedHeaders: [x-total]
      credentials: true
      maxAge: 1h
    securityHeaders: true
  - { exact: /plain, upstream: plain, stripPrefix: true, limit: { rate: 10/h } }
  - { host: www.example.com, redirect: { to: "https://example.com/", status: 308 } }
  - { path: /old, redirect: { to: /shop/v2 } }
  - { path: /later, upstream: shop, disabled: true }
  - { name: timeseries, disabled: true }
trustedProxies: [10.0.0.0/8, "fd00::/8"]
rateLimits: { redis: "redis://user:word@redis:6379/1", whenGone: refuse }
`
