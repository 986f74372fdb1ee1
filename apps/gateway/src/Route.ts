import * as Retry from "@opsbuddy/resilience/Retry"
import { Duration } from "effect"
import type { RouteConfig } from "./GatewayConfig.ts"
import * as RouteMetrics from "./RouteMetrics.ts"
import type { Upstream } from "./Upstream.ts"

/** The timeouts of a route's requests, in milliseconds. */
export interface Timeouts {
  readonly attempt: number
  readonly upload: number
  readonly idle: number
  readonly total: number
}

/** A route as it runs: its own policies over those of its upstream. */
export interface Route {
  readonly config: RouteConfig
  /** `undefined` where the route redirects. */
  readonly upstream: Upstream | undefined
  readonly timeouts: Timeouts
  readonly retry: Retry.RetryPolicy
  /** The upstream's, which its routes share, unless the route says how much it may retry. */
  readonly budget: Retry.RetryBudget | undefined
  readonly metrics: RouteMetrics.RouteMetrics
}

const noTimeouts = { attempt: Duration.zero, upload: Duration.zero, idle: Duration.zero, total: Duration.zero }
const noRetry: Retry.RetryPolicy = { attempts: 1, budget: 0, backoff: { base: Duration.zero, max: Duration.zero } }

export const make = (
  config: RouteConfig,
  upstream: Upstream | undefined,
  metrics: RouteMetrics.RouteMetrics
): Route => {
  const { attempt, idle, total, upload } = { ...(upstream?.config.timeouts ?? noTimeouts), ...config.timeouts }
  return {
    config,
    upstream,
    timeouts: {
      attempt: Duration.toMillis(attempt),
      upload: Duration.toMillis(upload),
      idle: Duration.toMillis(idle),
      total: Duration.toMillis(total)
    },
    retry: { ...(upstream?.config.retry ?? noRetry), ...config.retry },
    budget: config.retry.budget === undefined ? upstream?.budget : Retry.makeBudget(config.retry.budget),
    metrics
  }
}

/** What a request is recorded under that no route matches, and that the gateway does not serve itself either. */
export const none: Route = make(
  {
    name: "none",
    host: undefined,
    path: "/",
    match: "prefix",
    methods: [],
    headers: [],
    upstream: undefined,
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
  },
  undefined,
  RouteMetrics.make()
)
