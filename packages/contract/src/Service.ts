import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { NotReady } from "./Problems.ts"
import { AnyQuery, ServiceName, Timestamp } from "./Wire.ts"

/** `degraded` still serves, with something lost; `unhealthy` does not. */
export const HealthState = Schema.Literals(["healthy", "degraded", "unhealthy"])
export type HealthState = typeof HealthState.Type

/** `uptime` is in seconds. */
export const ServiceInfo = Schema.Struct({ name: ServiceName, version: Schema.String, uptime: Schema.Finite })

/** One service as the gateway sees it. */
export const ServiceHealth = Schema.Struct({
  name: Schema.String,
  status: Schema.Union([HealthState, Schema.Literal("unknown")]),
  detail: Schema.optionalKey(Schema.String)
})

const healthFields = {
  service: ServiceInfo,
  /** What the store answered just now; `none` where the program keeps nothing. */
  database: Schema.Union([HealthState, Schema.Literal("none")]),
  /** Why the program is not healthy, a sentence each; absent where it is. */
  reasons: Schema.optionalKey(Schema.Array(Schema.String)),
  timestamp: Timestamp,
  /** At the gateway: every upstream, as its last health check found it. */
  services: Schema.optionalKey(Schema.Array(ServiceHealth))
}

/** How a program is. `healthy` and `degraded` answer 200. */
export const Health = Schema.Struct({ status: Schema.Literals(["healthy", "degraded"]), ...healthFields })

/** The same with status 503. */
export const Unhealthy = Schema.Struct({ status: Schema.Literal("unhealthy"), ...healthFields }).pipe(
  HttpApiSchema.status(503)
)

/**
 * How an address of an upstream is: `healthy` passes its health checks; `failing` does not, and is asked only when all others
 * fail, too; `ejected` failed too many requests in a row and rests; `draining` gets nothing new; `unknown` was not checked yet.
 */
export const TargetState = Schema.Literals(["healthy", "failing", "ejected", "draining", "unknown"])
export type TargetState = typeof TargetState.Type

/** One address of an upstream. Latency is that of the last `samples` answers, in milliseconds. */
export const TargetStatus = Schema.Struct({
  url: Schema.String,
  weight: Schema.Int,
  health: TargetState,
  /** When the last health check ended, and why it failed if it did. */
  checkedAt: Schema.optionalKey(Timestamp),
  detail: Schema.optionalKey(Schema.String),
  ejectedUntil: Schema.optionalKey(Timestamp),
  requests: Schema.Int,
  failures: Schema.Int,
  inFlight: Schema.Int,
  latency: Schema.optionalKey(
    Schema.Struct({ samples: Schema.Int, p50: Schema.Finite, p95: Schema.Finite, p99: Schema.Finite })
  )
})
export type TargetStatus = typeof TargetStatus.Type

export const CircuitState = Schema.Literals(["closed", "open", "half-open", "forced-open", "forced-closed"])
export type CircuitState = typeof CircuitState.Type

/** The state of an upstream's circuit breaker. `retryAfter` is whole seconds until the next probe, when open. */
export const CircuitStatus = Schema.Struct({
  state: CircuitState,
  since: Timestamp,
  consecutiveFailures: Schema.Int,
  lastFailure: Schema.optionalKey(Schema.String),
  retryAfter: Schema.optionalKey(Schema.Int),
  /** Why an operator forced it. */
  forcedReason: Schema.optionalKey(Schema.String)
})
export type CircuitStatus = typeof CircuitStatus.Type

/** `retryTokens` is how many retries the budget allows at the moment. */
export const UpstreamStatus = Schema.Struct({
  name: Schema.String,
  circuit: CircuitStatus,
  concurrency: Schema.Struct({
    active: Schema.Int,
    queued: Schema.Int,
    max: Schema.Int,
    queue: Schema.Int,
    refused: Schema.Int
  }),
  retryTokens: Schema.Finite,
  targets: Schema.Array(TargetStatus)
})
export type UpstreamStatus = typeof UpstreamStatus.Type

/** Something that the program found out about its data, such as commits that a damaged log has lost, or files without a record. */
export const Notice = Schema.Struct({ timestamp: Timestamp, message: Schema.String })
export type Notice = typeof Notice.Type

/** The details of a running program. Memory and storage are in bytes. */
export const Status = Schema.Struct({
  service: ServiceInfo,
  runtime: Schema.Struct({ name: Schema.Literals(["bun", "node"]), version: Schema.String, pid: Schema.Int }),
  memory: Schema.Struct({ rss: Schema.Int, heapUsed: Schema.Int }),
  storage: Schema.optionalKey(Schema.Struct({ kind: Schema.String, location: Schema.String, bytes: Schema.Int })),
  counters: Schema.Record(Schema.String, Schema.Finite),
  /** What an operator should know about the data, oldest first; absent where there is nothing. */
  notices: Schema.optionalKey(Schema.Array(Notice)),
  upstreams: Schema.optionalKey(Schema.Array(UpstreamStatus)),
  timestamp: Timestamp
})
export type Status = typeof Status.Type

/**
 * What every program answers about itself. Open to all. Load balancers and scrapers add parameters of their own, against caches for
 * example, which must not make a healthy program look like a failing one.
 */
export class ServiceApi extends HttpApiGroup.make("service", { topLevel: true })
  .add(
    HttpApiEndpoint.get("health", "/health", { success: [Health, Unhealthy] }).annotate(AnyQuery, true),
    HttpApiEndpoint.get("ready", "/ready", {
      success: Schema.Struct({ ready: Schema.Literal(true) }),
      error: NotReady
    }).annotate(AnyQuery, true),
    HttpApiEndpoint.get("status", "/status", { success: Status }),
    HttpApiEndpoint.get("metrics", "/metrics", {
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))
    }).annotate(AnyQuery, true)
  )
  .annotateMerge(OpenApi.annotations({ title: "Service", description: "Health, readiness, status and metrics" })) {}
