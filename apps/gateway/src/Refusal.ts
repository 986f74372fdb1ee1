import {
  AmbiguousPath,
  CircuitOpen,
  ConnectFailed,
  UpgradeNotSupported,
  UpstreamReset,
  UpstreamTimeout
} from "@opsbuddy/contract/Gateway"
import { InternalError, NoRoute, problemPrefix, type RequestId } from "@opsbuddy/contract/Problems"
import { Data, Schema } from "effect"
import type { Target, Upstream } from "./Upstream.ts"

/** Why an attempt ended without an answer's head. */
export class AttemptFailed extends Data.TaggedError("AttemptFailed")<{
  readonly reason: "connect-failed" | "upstream-reset"
  /** What the system said, in a few words: `connection refused`. */
  readonly what: string
}> {}

/** Every answer that the gateway gives itself to a request that is not for one of its own paths. */
const Refusal = Schema.Union([
  AmbiguousPath,
  CircuitOpen,
  ConnectFailed,
  InternalError,
  NoRoute,
  UpgradeNotSupported,
  UpstreamReset,
  UpstreamTimeout
])
export type Refusal = typeof Refusal.Type

/** The name in a refusal's `type`, which is the cause in logs and records. */
export const causeOf = (refusal: Refusal) => refusal.type.slice(problemPrefix.length)

export const attemptFailed = (upstream: Upstream, target: Target, error: AttemptFailed) => {
  const fields = { upstream: upstream.config.name, target: target.url }
  return error.reason === "connect-failed"
    ? new ConnectFailed({ ...fields, detail: `${error.what} by ${target.url}` })
    : new UpstreamReset({ ...fields, detail: `${error.what} by ${target.url} before the answer's head` })
}

export const attemptTimedOut = (upstream: Upstream, target: Target, timeoutMillis: number) =>
  new UpstreamTimeout({
    upstream: upstream.config.name,
    target: target.url,
    timeoutMillis,
    detail: `no answer from ${target.url} within ${timeoutMillis} ms`
  })

/** `retryAfter` is absent while a probe is under way. */
export const circuitOpen = (
  upstream: Upstream,
  status: { readonly consecutiveFailures: number; readonly lastFailure: string | undefined },
  retryAfter: number | undefined
) => {
  const { lastFailure } = status
  const why = `${status.consecutiveFailures} consecutive failures${lastFailure === undefined ? "" : `, last: ${lastFailure}`}`
  const until = retryAfter === undefined ? "half-open, a probe is under way" : `open for ${retryAfter} s more`
  return new CircuitOpen({
    upstream: upstream.config.name,
    retryAfter: retryAfter ?? 1,
    detail: `circuit of upstream ${upstream.config.name} ${until}: ${why}`,
    ...(lastFailure === undefined ? {} : { lastFailure })
  })
}

const encode = Schema.encodeSync(Refusal)

/** A refusal as it goes over the wire. */
export const render = (refusal: Refusal, requestId: RequestId, path: string) => {
  const body = JSON.stringify({ instance: path, ...encode(refusal), requestId })
  const headers: Record<string, string> = { "content-type": "application/problem+json", "x-request-id": requestId }
  if ("retryAfter" in refusal) headers["retry-after"] = String(refusal.retryAfter)
  return { status: refusal.status, headers, body }
}
