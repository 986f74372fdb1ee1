import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AuditEntry } from "./Audit.ts"
import { Authentication, RequestDecoding } from "./Identity.ts"
import { bodyProblems, problemMembers, problemPrefix, RequestId, storeProblems } from "./Problems.ts"
import { CircuitState, TargetState, UpstreamStatus } from "./Service.ts"
import { page, paging, strictRequests, Timestamp } from "./Wire.ts"

const refusal = { ...problemMembers, upstream: Schema.String }

/** `retryAfter` is whole seconds and equals the `Retry-After` header. */
export class CircuitOpen extends HttpApiError.Problem<CircuitOpen>()(
  "CircuitOpen",
  { type: `${problemPrefix}circuit-open`, status: 503, title: "The upstream's circuit is open" },
  { ...refusal, retryAfter: Schema.Int, lastFailure: Schema.optionalKey(Schema.String) }
) {}

export class ConnectFailed extends HttpApiError.Problem<ConnectFailed>()(
  "ConnectFailed",
  { type: `${problemPrefix}connect-failed`, status: 502, title: "The upstream could not be reached" },
  { ...refusal, target: Schema.String }
) {}

/** The upstream was reached and broke off before its answer's head was complete. */
export class UpstreamReset extends HttpApiError.Problem<UpstreamReset>()(
  "UpstreamReset",
  { type: `${problemPrefix}upstream-reset`, status: 502, title: "The upstream broke off" },
  { ...refusal, target: Schema.String }
) {}

/** `timeoutMillis` is the limit that was reached. */
export class UpstreamTimeout extends HttpApiError.Problem<UpstreamTimeout>()(
  "UpstreamTimeout",
  { type: `${problemPrefix}upstream-timeout`, status: 504, title: "The upstream did not answer in time" },
  { ...refusal, target: Schema.String, timeoutMillis: Schema.Int }
) {}

/**
 * The path has dot segments, backslashes or encoded slashes, which servers resolve in different ways, so that it might
 * reach something else than the route that it matched.
 */
export class AmbiguousPath extends HttpApiError.Problem<AmbiguousPath>()(
  "AmbiguousPath",
  { type: `${problemPrefix}ambiguous-path`, status: 400, title: "The path can be read in more than one way" },
  problemMembers
) {}

/**
 * The request can be read in more than one way, so that the gateway and the upstream might disagree on what it is: two `Host`s,
 * or both `Content-Length` and `Transfer-Encoding`.
 */
export class AmbiguousRequest extends HttpApiError.Problem<AmbiguousRequest>()(
  "AmbiguousRequest",
  { type: `${problemPrefix}ambiguous-request`, status: 400, title: "The request can be read in more than one way" },
  problemMembers
) {}

/** The bytes are no HTTP/1.1 (RFC 9112); the connection is closed. */
export class MalformedRequest extends HttpApiError.Problem<MalformedRequest>()(
  "MalformedRequest",
  { type: `${problemPrefix}malformed-request`, status: 400, title: "The request is no valid HTTP" },
  problemMembers
) {}

/** The head of the request did not come whole in time; the connection is closed. */
export class RequestTimeout extends HttpApiError.Problem<RequestTimeout>()(
  "RequestTimeout",
  { type: `${problemPrefix}request-timeout`, status: 408, title: "The request did not come in time" },
  problemMembers
) {}

/** The head of the request is too large; the connection is closed. */
export class HeadTooLarge extends HttpApiError.Problem<HeadTooLarge>()(
  "HeadTooLarge",
  { type: `${problemPrefix}head-too-large`, status: 431, title: "The head of the request is too large" },
  problemMembers
) {}

/** Another version of HTTP than 1.0 and 1.1 (RFC 9110, section 15.6.6); the connection is closed. */
export class VersionNotSupported extends HttpApiError.Problem<VersionNotSupported>()(
  "VersionNotSupported",
  { type: `${problemPrefix}version-not-supported`, status: 505, title: "The version of HTTP is not served" },
  problemMembers
) {}

/** The upstream has no target that takes requests: it has none at all, or all are draining. */
export class NoHealthyTarget extends HttpApiError.Problem<NoHealthyTarget>()(
  "NoHealthyTarget",
  { type: `${problemPrefix}no-healthy-target`, status: 503, title: "The upstream has no target that takes requests" },
  { ...refusal, retryAfter: Schema.Int }
) {}

/** Too many requests of this upstream are in flight, and as many wait as may. */
export class Overloaded extends HttpApiError.Problem<Overloaded>()(
  "Overloaded",
  { type: `${problemPrefix}overloaded`, status: 503, title: "The upstream has too many requests at once" },
  { ...refusal, retryAfter: Schema.Int, max: Schema.Int, queue: Schema.Int }
) {}

/** `limit` requests may come at once; `retryAfter` is whole seconds and equals the `Retry-After` header. */
export class RateLimited extends HttpApiError.Problem<RateLimited>()(
  "RateLimited",
  { type: `${problemPrefix}rate-limited`, status: 429, title: "Too many requests" },
  { ...problemMembers, route: Schema.String, limit: Schema.Int, retryAfter: Schema.Int }
) {}

/** The shared count of requests cannot be asked, and the gateway is told to refuse then. */
export class RateLimitUnavailable extends HttpApiError.Problem<RateLimitUnavailable>()(
  "RateLimitUnavailable",
  { type: `${problemPrefix}rate-limit-unavailable`, status: 503, title: "The rate limit cannot be checked" },
  { ...problemMembers, route: Schema.String, retryAfter: Schema.Int }
) {}

/** The path and the connection could be taken for a WebSocket, which the upstream refused or the route does not lead to. */
export class UpgradeFailed extends HttpApiError.Problem<UpgradeFailed>()(
  "UpgradeFailed",
  { type: `${problemPrefix}upgrade-failed`, status: 502, title: "The protocol upgrade failed" },
  { ...refusal, target: Schema.String }
) {}

/** The gateway carries WebSocket, and no other protocol that a client may ask to change to. */
export class UpgradeNotSupported extends HttpApiError.Problem<UpgradeNotSupported>()(
  "UpgradeNotSupported",
  { type: `${problemPrefix}upgrade-not-supported`, status: 501, title: "This protocol upgrade is not carried" },
  problemMembers
) {}

/** The request is not in the gateway's recent account: it is older, or never was. */
export class AccountNotFound extends HttpApiError.Problem<AccountNotFound>()(
  "AccountNotFound",
  { type: `${problemPrefix}account-not-found`, status: 404, title: "The gateway does not remember this request" },
  { ...problemMembers, id: RequestId }
) {}

export class UpstreamNotFound extends HttpApiError.Problem<UpstreamNotFound>()(
  "UpstreamNotFound",
  { type: `${problemPrefix}upstream-not-found`, status: 404, title: "No such upstream" },
  { ...problemMembers, upstream: Schema.String }
) {}

export class TargetNotFound extends HttpApiError.Problem<TargetNotFound>()(
  "TargetNotFound",
  { type: `${problemPrefix}target-not-found`, status: 404, title: "The upstream has no such target" },
  { ...problemMembers, upstream: Schema.String, target: Schema.String }
) {}

/** One thing wrong with a configuration file. `path` is as in `routes[2].limit.rate`; lines and columns count from 1. */
export const ConfigMistake = Schema.Struct({
  file: Schema.String,
  line: Schema.Int,
  column: Schema.Int,
  path: Schema.String,
  reason: Schema.String
})
export type ConfigMistake = typeof ConfigMistake.Type

/** The file was refused as a whole, and what ran before runs on. */
export class ConfigRejected extends HttpApiError.Problem<ConfigRejected>()(
  "ConfigRejected",
  { type: `${problemPrefix}config-rejected`, status: 400, title: "The configuration is not valid" },
  { ...problemMembers, mistakes: Schema.Array(ConfigMistake) }
) {}

/** Where an effective value comes from; a value that is not listed is a default. */
export const ConfigOrigin = Schema.Struct({
  path: Schema.String,
  from: Schema.Literals(["built-in", "file"]),
  line: Schema.optionalKey(Schema.Int),
  column: Schema.optionalKey(Schema.Int)
})

/** What the gateway runs with. `revision` counts the configurations since the start, from 1. */
export const RunningConfig = Schema.Struct({
  revision: Schema.Int,
  loadedAt: Timestamp,
  /** What made it load: `start`, `signal`, `file-change` or `request`. */
  trigger: Schema.String,
  /** Absent where there is no file. */
  file: Schema.optionalKey(Schema.String),
  config: Schema.Json,
  origins: Schema.Array(ConfigOrigin),
  /** The last attempt that was refused, if it came after this one was loaded. */
  rejected: Schema.optionalKey(
    Schema.Struct({ at: Timestamp, trigger: Schema.String, mistakes: Schema.Array(ConfigMistake) })
  )
})
export type RunningConfig = typeof RunningConfig.Type

/** One attempt at a target. Times are in milliseconds, `startedMillis` from the start of the request. */
export const AttemptAccount = Schema.Struct({
  target: Schema.String,
  startedMillis: Schema.Finite,
  durationMillis: Schema.Finite,
  /** `answered`, or the cause why there was no answer. */
  outcome: Schema.String,
  status: Schema.optionalKey(Schema.Int),
  detail: Schema.optionalKey(Schema.String)
})

/** What the gateway did with one request, and why. */
export const RequestAccount = Schema.Struct({
  requestId: RequestId,
  timestamp: Timestamp,
  method: Schema.String,
  host: Schema.optionalKey(Schema.String),
  path: Schema.String,
  client: Schema.optionalKey(Schema.String),
  traceId: Schema.optionalKey(Schema.String),
  route: Schema.Struct({
    name: Schema.String,
    /** Why it is this one, in words. */
    matched: Schema.String
  }),
  /** The rate limit that was asked, and what it had left then. */
  limit: Schema.optionalKey(
    Schema.Struct({ key: Schema.String, limit: Schema.Int, remaining: Schema.Int, store: Schema.String })
  ),
  /** How the upstream was when the request came to it. */
  upstream: Schema.optionalKey(
    Schema.Struct({
      name: Schema.String,
      circuit: CircuitState,
      active: Schema.Int,
      queued: Schema.Int,
      balance: Schema.String,
      targets: Schema.Array(Schema.Struct({ url: Schema.String, state: TargetState }))
    })
  ),
  attempts: Schema.Array(AttemptAccount),
  answer: Schema.Struct({
    /** Who made the answer. */
    by: Schema.Literals(["upstream", "gateway"]),
    status: Schema.Int,
    /** The name of the problem, where the gateway answered itself, or what ended the body early. */
    cause: Schema.optionalKey(Schema.String),
    detail: Schema.optionalKey(Schema.String),
    requestBytes: Schema.optionalKey(Schema.Int),
    responseBytes: Schema.optionalKey(Schema.Int),
    /** From the request's head to the answer's. */
    durationMillis: Schema.Finite
  })
})
export type RequestAccount = typeof RequestAccount.Type

/** What happened in the gateway beside requests. `id` grows by 1; `cause` is a sentence. */
export const GatewayEvent = Schema.Struct({
  id: Schema.Int,
  timestamp: Timestamp,
  kind: Schema.Literals([
    "circuit-changed",
    "target-ejected",
    "target-restored",
    "target-health-changed",
    "target-drained",
    "target-undrained",
    "targets-changed",
    "config-loaded",
    "config-rejected",
    "rate-limit-store-changed"
  ]),
  upstream: Schema.optionalKey(Schema.String),
  target: Schema.optionalKey(Schema.String),
  from: Schema.optionalKey(Schema.String),
  to: Schema.optionalKey(Schema.String),
  cause: Schema.String
})
export type GatewayEvent = typeof GatewayEvent.Type

/** Why an operator acts; it stands in the audit. */
export const Reason = Schema.String.check(Schema.isPattern(/\S/, { expected: "a reason" }), Schema.isMaxLength(1000))

const byName = { name: Schema.NonEmptyString }
const operatorErrors = [UpstreamNotFound, ...bodyProblems, ...storeProblems] as const
const targetErrors = [UpstreamNotFound, TargetNotFound, ...bodyProblems, ...storeProblems] as const
const drainPayload = Schema.Struct({ target: Schema.NonEmptyString, reason: Reason })

/** What the gateway says about itself, and how it is operated; the services' own paths are forwarded unchanged. */
export class GatewayApi extends HttpApiGroup.make("gateway")
  .add(
    HttpApiEndpoint.get("upstreams", "/upstreams", { success: Schema.Struct({ items: Schema.Array(UpstreamStatus) }) }),
    HttpApiEndpoint.get("upstream", "/upstreams/:name", {
      params: byName,
      success: UpstreamStatus,
      error: UpstreamNotFound
    }),
    /** Holds the circuit open, which refuses all requests, or closed, whatever fails, until it is released. */
    HttpApiEndpoint.post("force", "/upstreams/:name/force", {
      params: byName,
      payload: Schema.Struct({ state: Schema.Literals(["open", "closed"]), reason: Reason }),
      success: UpstreamStatus,
      error: operatorErrors
    }),
    HttpApiEndpoint.post("release", "/upstreams/:name/release", {
      params: byName,
      payload: Schema.Struct({ reason: Reason }),
      success: UpstreamStatus,
      error: operatorErrors
    }),
    /** A draining target gets nothing new; what it has begun, it ends. */
    HttpApiEndpoint.post("drain", "/upstreams/:name/drain", {
      params: byName,
      payload: drainPayload,
      success: UpstreamStatus,
      error: targetErrors
    }),
    HttpApiEndpoint.post("undrain", "/upstreams/:name/undrain", {
      params: byName,
      payload: drainPayload,
      success: UpstreamStatus,
      error: targetErrors
    }),
    HttpApiEndpoint.get("config", "/config", { success: RunningConfig }),
    /** Reads the file again. With a mistake in it nothing changes. */
    HttpApiEndpoint.post("reload", "/config/reload", {
      payload: Schema.Struct({ reason: Reason }),
      success: RunningConfig,
      error: [ConfigRejected, ...bodyProblems, ...storeProblems]
    }),
    /** The newest requests first. */
    HttpApiEndpoint.get("listRequests", "/requests", {
      query: {
        ...paging,
        route: Schema.optionalKey(Schema.String),
        upstream: Schema.optionalKey(Schema.String),
        cause: Schema.optionalKey(Schema.String),
        /** This status and all above it. */
        minStatus: Schema.optionalKey(Schema.Int)
      },
      success: page(RequestAccount)
    }),
    HttpApiEndpoint.get("request", "/requests/:id", {
      params: { id: RequestId },
      success: RequestAccount,
      error: AccountNotFound
    }),
    /** Oldest first, those after the event `after`; at most the last 10,000 are kept. */
    HttpApiEndpoint.get("events", "/events", {
      query: { after: Schema.optionalKey(Schema.Int), upstream: Schema.optionalKey(Schema.String) },
      success: Schema.Struct({ items: Schema.Array(GatewayEvent) })
    }),
    /**
     * The same as server-sent events, from now on or after `Last-Event-ID`: `id`, `event` (the kind) and `data` (the event as
     * JSON); an event `dropped` with `{"count"}` to a reader that is too slow; a comment every 15 s.
     */
    HttpApiEndpoint.get("eventStream", "/events/stream", {
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))
    }),
    /** Operators' actions, oldest first; `from` is inside, `to` is outside. */
    HttpApiEndpoint.get("audit", "/audit", {
      query: { ...paging, from: Schema.optionalKey(Timestamp), to: Schema.optionalKey(Timestamp) },
      success: page(AuditEntry),
      error: storeProblems
    })
  )
  .prefix("/api/gateway")
  .middleware(Authentication)
  .middleware(RequestDecoding)
  .annotateMerge(strictRequests)
  .annotateMerge(
    OpenApi.annotations({ title: "Gateway", description: "Upstreams, configuration, requests, events and operations" })
  ) {}
