import {
  AmbiguousPath,
  AmbiguousRequest,
  CircuitOpen,
  ConnectFailed,
  HeadTooLarge,
  MalformedRequest,
  NoHealthyTarget,
  Overloaded,
  RateLimited,
  RateLimitUnavailable,
  RequestTimeout,
  UpgradeFailed,
  UpgradeNotSupported,
  UpstreamReset,
  UpstreamTimeout,
  VersionNotSupported
} from "@opsbuddy/contract/Gateway"
import {
  BodyTooLarge,
  IncompleteBody,
  InternalError,
  MethodNotAllowed,
  NoRoute,
  problemPrefix,
  type RequestId,
  UriTooLong
} from "@opsbuddy/contract/Problems"
import type { Rejection } from "@opsbuddy/resilience/Breaker"
import type * as Concurrency from "@opsbuddy/resilience/Concurrency"
import type * as RateLimit from "@opsbuddy/resilience/RateLimit"
import { Schema } from "effect"
import type { AttemptFailed } from "./Exchange.ts"
import type { Malformed } from "./http1/RequestHead.ts"
import type { Target } from "./Target.ts"
import { type Upstream, wholeSeconds } from "./Upstream.ts"

/** Every answer that the gateway gives itself to a request that is not for one of its own paths: a closed list. */
const Refusal = Schema.Union([
  AmbiguousPath,
  AmbiguousRequest,
  BodyTooLarge,
  CircuitOpen,
  ConnectFailed,
  HeadTooLarge,
  IncompleteBody,
  InternalError,
  MalformedRequest,
  MethodNotAllowed,
  NoHealthyTarget,
  NoRoute,
  Overloaded,
  RateLimited,
  RateLimitUnavailable,
  RequestTimeout,
  UpgradeFailed,
  UpgradeNotSupported,
  UpstreamReset,
  UpstreamTimeout,
  UriTooLong,
  VersionNotSupported
])
export type Refusal = typeof Refusal.Type

/** The name in a refusal's `type`, which is the cause in logs and records. */
export const causeOf = (refusal: Refusal) => refusal.type.slice(problemPrefix.length)

export const attemptFailed = (
  upstream: Upstream,
  target: Target,
  error: AttemptFailed,
  maxBody: number | undefined
) => {
  const fields = { upstream: upstream.config.name, target: target.id }
  switch (error.reason) {
    case "connect-failed":
      return new ConnectFailed({ ...fields, detail: `${error.message} by ${target.id}` })
    case "upstream-reset":
      return new UpstreamReset({ ...fields, detail: `${error.message} by ${target.id} before the answer's head` })
    case "upgrade-failed":
      return new UpgradeFailed({ ...fields, detail: `${target.id} ${error.message}` })
    case "body-too-large":
      return tooLarge(maxBody ?? 0)
    case "client-closed":
      return new IncompleteBody({ detail: error.message })
    case "malformed-body":
      return new MalformedRequest({ detail: error.message })
  }
}

export const attemptTimedOut = (upstream: Upstream, target: Target, timeoutMillis: number, what: "attempt" | "total") =>
  new UpstreamTimeout({
    upstream: upstream.config.name,
    target: target.id,
    timeoutMillis,
    detail:
      what === "attempt"
        ? `no answer from ${target.id} within ${timeoutMillis} ms`
        : `no answer from ${target.id} before the request's deadline of ${timeoutMillis} ms`
  })

export const circuitOpen = (upstream: Upstream, rejection: Rejection, now: number) => {
  const { consecutiveFailures, forcedReason, lastFailure } = upstream.breaker.status(now)
  const { _tag, retryAfterMillis } = rejection
  const name = upstream.config.name
  const why = `${consecutiveFailures} consecutive failures${lastFailure === undefined ? "" : `, last: ${lastFailure}`}`
  const retryAfter = retryAfterMillis === undefined ? 1 : wholeSeconds(retryAfterMillis)
  const detail = {
    Open: `circuit of upstream ${name} open for ${retryAfter} s more: ${why}`,
    ProbeUnderWay: `circuit of upstream ${name} half-open, a probe is under way: ${why}`,
    ForcedOpen: `circuit of upstream ${name} held open by an operator: ${forcedReason}`
  }[_tag]
  return new CircuitOpen({
    upstream: name,
    // A forced circuit has no end that is known.
    retryAfter: _tag === "ForcedOpen" ? 60 : retryAfter,
    detail,
    ...(lastFailure === undefined ? {} : { lastFailure })
  })
}

export const noTarget = (upstream: Upstream) => {
  const all = upstream.targets.length
  return new NoHealthyTarget({
    upstream: upstream.config.name,
    retryAfter: 5,
    detail:
      all === 0
        ? `upstream ${upstream.config.name} has no target at the moment`
        : `all ${all} targets of upstream ${upstream.config.name} are draining`
  })
}

export const overloaded = (upstream: Upstream, error: Concurrency.Overloaded) =>
  new Overloaded({
    upstream: upstream.config.name,
    retryAfter: 1,
    max: error.max,
    queue: error.queue,
    detail:
      error.waitedMillis > 0
        ? `${error.active} of ${error.max} requests in flight, and no place within ${Math.round(error.waitedMillis)} ms`
        : `${error.active} of ${error.max} requests in flight, and ${error.queued} of ${error.queue} wait`
  })

export const rateLimited = (route: string, key: string, error: RateLimit.RateLimited) =>
  new RateLimited({
    route,
    limit: error.limit,
    retryAfter: wholeSeconds(error.retryAfterMillis),
    detail: `the limit of route ${route} for ${key} is used up: ${error.limit} requests at once`
  })

export const limitUnavailable = (route: string, error: RateLimit.RateLimitStoreGone) =>
  new RateLimitUnavailable({
    route,
    retryAfter: wholeSeconds(error.retryAfterMillis),
    detail: `the store of the rate limits does not answer: ${error.lastError}`
  })

/** What is no request that could have gone further. */
export const malformed = (status: Malformed["status"], detail: string) => {
  switch (status) {
    case 400:
      return new MalformedRequest({ detail })
    case 408:
      return new RequestTimeout({ detail })
    case 431:
      return new HeadTooLarge({ detail })
    case 505:
      return new VersionNotSupported({ detail })
  }
}

export const ambiguous = (detail: string) => new AmbiguousRequest({ detail })

export const ambiguousPath = () =>
  new AmbiguousPath({ detail: "dot segments, backslashes, encoded slashes and encoded NULs are refused in paths" })

export const tooLarge = (limit: number) => new BodyTooLarge({ limit, detail: `the body has more than ${limit} bytes` })

const encode = Schema.encodeSync(Refusal)

/** A refusal as it goes over the wire. */
export const render = (refusal: Refusal, requestId: RequestId, path: string) => {
  const body = JSON.stringify({ instance: path, ...encode(refusal), requestId })
  const headers: Record<string, string> = { "content-type": "application/problem+json", "x-request-id": requestId }
  if ("retryAfter" in refusal) headers["retry-after"] = String(refusal.retryAfter)
  if ("allow" in refusal) headers.allow = refusal.allow.join(", ")
  return { status: refusal.status, headers, body }
}
