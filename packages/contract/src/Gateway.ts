import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, OpenApi } from "effect/http-api"
import { problemMembers, problemPrefix } from "./Problems.ts"
import { UpstreamStatus } from "./Service.ts"

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

/** The gateway does not carry protocol upgrades (WebSocket). */
export class UpgradeNotSupported extends HttpApiError.Problem<UpgradeNotSupported>()(
  "UpgradeNotSupported",
  { type: `${problemPrefix}upgrade-not-supported`, status: 501, title: "Protocol upgrades are not carried" },
  problemMembers
) {}

/** What the gateway says about itself; the services' own paths are forwarded unchanged. */
export class GatewayApi extends HttpApiGroup.make("gateway")
  .add(
    HttpApiEndpoint.get("upstreams", "/upstreams", { success: Schema.Struct({ items: Schema.Array(UpstreamStatus) }) })
  )
  .prefix("/api/gateway")
  .annotateMerge(OpenApi.annotations({ title: "Gateway", description: "Upstreams, their targets and circuits" })) {}
