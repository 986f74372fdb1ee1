import type { RequestId } from "@opsbuddy/contract/Problems"
import type { Attempt } from "./Account.ts"
import type { Route } from "./Route.ts"

/** The head of an upstream's answer; its body follows by itself, from the upstream's socket to the client's. */
export interface Head {
  readonly status: number
  /** From `Content-Length`, where the upstream gave one. */
  readonly bytes: number | undefined
  /** It has no end of its own: a WebSocket, or server-sent events. */
  readonly isOpenEnded: boolean
  /** From `Retry-After` in seconds, in milliseconds. */
  readonly retryAfterMillis: number | undefined
}

/** Methods that may run twice (RFC 9110, section 9.2.2). */
export const idempotent = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])

/** What goes to the upstream beside what the client sent. */
export interface Onward {
  readonly route: Route
  /** Milliseconds that are left for the answer's head. */
  readonly remainingMillis: number
}

/** What is known of a request. */
export interface Asked {
  readonly requestId: RequestId
  readonly method: string
  /** Path and query as they came. */
  readonly url: string
  readonly path: string
  readonly host: string
  readonly client: string | undefined
  readonly traceparent: string | undefined
  readonly hasBody: boolean
  /** From `Content-Length`. */
  readonly requestBytes: number | undefined
  /** By its name in lower case. */
  readonly header: (name: string) => string | undefined
  /** What the client wants to change to, from `Upgrade`. */
  readonly upgrade: string | undefined
  /** Why the request can be read in more than one way, if it can. */
  readonly ambiguity: string | undefined
}

/** What hears how an attempt went: once, unless it was ended by `abort` before. */
export interface Attempts {
  readonly answered: (attempt: Attempt, head: Head) => void
  readonly failed: (attempt: Attempt, error: AttemptFailed) => void
}

/** One request, and how it goes on. */
export interface Exchange extends Asked {
  /** Sends the request to the attempt's target, and tells `attempts` of its answer. */
  readonly send: (attempt: Attempt, onward: Onward, attempts: Attempts) => void
  /** Ends what `send` has begun. */
  readonly abort: () => void
  /** The answer is not passed on. */
  readonly discard: () => void
}

/** Why an attempt ended without an answer's head. */
export class AttemptFailed {
  readonly reason:
    | "connect-failed"
    | "upstream-reset"
    | "upgrade-failed"
    | "body-too-large"
    | "malformed-body"
    | "client-closed"
  readonly message: string
  constructor(reason: AttemptFailed["reason"], message: string) {
    this.reason = reason
    this.message = message
  }
}
