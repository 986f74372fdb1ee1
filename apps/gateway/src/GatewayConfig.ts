import type { BreakerPolicy } from "@opsbuddy/resilience/Breaker"
import type { ConcurrencyPolicy } from "@opsbuddy/resilience/Concurrency"
import type { OutlierPolicy } from "@opsbuddy/resilience/Outliers"
import type { RateLimitPolicy } from "@opsbuddy/resilience/RateLimit"
import type { RetryPolicy } from "@opsbuddy/resilience/Retry"
import type { Duration } from "effect"

/** What a key is taken from: the client's address, a request header, or the subject of the principal. */
export type KeySource =
  | { readonly _tag: "Client" }
  | { readonly _tag: "Header"; readonly name: string }
  | { readonly _tag: "Subject" }

/** How a target is chosen; `Hash` sends the same key to the same target. */
export type BalanceConfig =
  | { readonly _tag: "RoundRobin" }
  | { readonly _tag: "LeastRequests" }
  | { readonly _tag: "Weighted" }
  | { readonly _tag: "Hash"; readonly by: KeySource }

/** `url` is `http://host:port`, without a path, or `dns://name:port`, which stands for every address of the name. */
export interface TargetConfig {
  readonly url: string
  readonly weight: number
}

export interface TimeoutsConfig {
  /** From an attempt's start to its answer's head, which covers connecting; for requests without a body. */
  readonly attempt: Duration.Duration
  /** The same for requests with a body, which are answered when all of it has arrived. */
  readonly upload: Duration.Duration
  /** Between two chunks of an answer's body. */
  readonly idle: Duration.Duration
  /** From the request's head to the answer's, over all attempts; for requests without a body. */
  readonly total: Duration.Duration
}

/** Active health checks. A target changes its state after so many passes or fails in a row. */
export interface HealthConfig {
  readonly path: `/${string}`
  readonly every: Duration.Duration
  readonly timeout: Duration.Duration
  readonly healthyAfter: number
  readonly unhealthyAfter: number
}

/** What an upstream is: where it is, and the policies of the calls to it. */
export interface UpstreamConfig {
  readonly name: string
  readonly targets: ReadonlyArray<TargetConfig>
  readonly balance: BalanceConfig
  readonly timeouts: TimeoutsConfig
  readonly retry: RetryPolicy
  readonly circuit: BreakerPolicy
  readonly outliers: OutlierPolicy
  /** `undefined`: not checked. */
  readonly health: HealthConfig | undefined
  readonly concurrency: ConcurrencyPolicy
}

/** Headers by name in lower case. A header that is set replaces what was there. */
export interface HeaderChanges {
  readonly set: ReadonlyArray<readonly [name: string, value: string]>
  readonly remove: ReadonlyArray<string>
}

/** Cross-origin access, as in https://fetch.spec.whatwg.org/#http-cors-protocol; closed where a route has none. */
export interface CorsConfig {
  /** Exact origins, or `*`. */
  readonly origins: ReadonlyArray<string>
  readonly methods: ReadonlyArray<string>
  readonly headers: ReadonlyArray<string>
  readonly exposedHeaders: ReadonlyArray<string>
  readonly credentials: boolean
  readonly maxAge: Duration.Duration
}

export interface RedirectConfig {
  /** A URL, or a path; the request's path and query are not added. */
  readonly to: string
  readonly status: 301 | 302 | 303 | 307 | 308
}

export interface RouteLimitConfig extends RateLimitPolicy {
  readonly by: KeySource
}

/** Which requests, and what becomes of them. */
export interface RouteConfig {
  /** Stands in logs, records and metrics. */
  readonly name: string
  /** Exact host in lower case without a port, or `*.example.com`; `undefined` is any. */
  readonly host: string | undefined
  readonly path: string
  /** `prefix`: this path and all below it. */
  readonly match: "prefix" | "exact"
  /** Empty is all. `HEAD` is served where `GET` is. */
  readonly methods: ReadonlyArray<string>
  /** Headers that must be there; names in lower case, exact values, `*` is any value. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** Exactly one of the two is there. */
  readonly upstream: string | undefined
  readonly redirect: RedirectConfig | undefined
  /**
   * What stands in the place of `path` on the way to the upstream, without a slash at its end: with `""` the rest of the
   * path is all, or `/` where there is no rest. `undefined` leaves the path as it is.
   */
  readonly replacePrefix: string | undefined
  readonly requestHeaders: HeaderChanges
  readonly responseHeaders: HeaderChanges
  /** In bytes; `undefined` is without a limit. */
  readonly maxBody: number | undefined
  readonly limit: RouteLimitConfig | undefined
  readonly cors: CorsConfig | undefined
  /** Adds `X-Content-Type-Options`, `X-Frame-Options`, `Referrer-Policy`, where the upstream has set none. */
  readonly securityHeaders: boolean
  /** What differs from the upstream's. */
  readonly timeouts: Partial<TimeoutsConfig>
  readonly retry: Partial<RetryPolicy>
}

/** Where rate limits are counted: in this process, or in a Redis that several gateways share. */
export interface RateLimitStoreConfig {
  readonly redis: string | undefined
  /** What holds while Redis is gone: this process's own count, no limit, or a refusal. */
  readonly whenGone: "local" | "allow" | "refuse"
}

/** Everything that the file, over the defaults, says. */
export interface GatewayConfig {
  readonly upstreams: ReadonlyArray<UpstreamConfig>
  readonly routes: ReadonlyArray<RouteConfig>
  /** CIDR blocks of proxies whose `X-Forwarded-*` and `Forwarded` are believed. */
  readonly trustedProxies: ReadonlyArray<string>
  readonly rateLimits: RateLimitStoreConfig
}
