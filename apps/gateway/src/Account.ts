import type { RequestId } from "@opsbuddy/contract/Problems"
import type { Asked } from "./Exchange.ts"
import type { Route } from "./Route.ts"
import type { Target } from "./Target.ts"
import type { Snapshot } from "./Upstream.ts"

/** One attempt. Times are milliseconds since the start of the request. */
export interface Attempt {
  readonly target: Target
  readonly started: number
  ended: number | undefined
  outcome: string
  status: number | undefined
  detail: string | undefined
  /** The one before it. */
  readonly previous: Attempt | undefined
}

/** What a rate limit answered. */
export interface LimitAnswer {
  readonly key: string
  readonly limit: number
  readonly remaining: number
  readonly store: string
}

/**
 * The account of one request while it runs: plain fields and references, because there is one for each request. What is kept
 * of it is text (see `AccountText.ts`).
 */
export class Account {
  readonly requestId: RequestId
  /** Milliseconds since 1970, and of the monotonic clock. */
  readonly at: number
  readonly started: number
  readonly method: string
  readonly host: string
  readonly path: string
  readonly client: string | undefined
  readonly traceparent: string | undefined
  readonly route: Route
  limit: LimitAnswer | undefined
  /** How the upstream was, and how many of its requests ran and waited. */
  upstream: Snapshot | undefined
  active = 0
  queued = 0
  /** The last of them, which leads to those before it. */
  lastAttempt: Attempt | undefined
  /** Who made the answer. */
  by: "gateway" | "upstream" = "gateway"
  status = 0
  cause: string | undefined
  detail: string | undefined
  requestBytes: number | undefined
  responseBytes: number | undefined
  durationMillis = 0

  constructor(asked: Asked, route: Route) {
    this.requestId = asked.requestId
    this.at = Date.now()
    this.started = performance.now()
    this.method = asked.method
    this.host = asked.host
    this.path = asked.path
    this.client = asked.client
    this.traceparent = asked.traceparent
    this.requestBytes = asked.requestBytes
    this.route = route
  }

  /** Milliseconds since the request began. */
  elapsed() {
    return performance.now() - this.started
  }

  /** In the order in which they were made. */
  attempts(): ReadonlyArray<Attempt> {
    const all: Array<Attempt> = []
    for (let attempt = this.lastAttempt; attempt !== undefined; attempt = attempt.previous) all.push(attempt)
    return all.reverse()
  }

  /** How long the last attempt took, in milliseconds. */
  upstreamMillis() {
    const { ended = 0, started = 0 } = this.lastAttempt ?? {}
    return ended - started
  }
}
