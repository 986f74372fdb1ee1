import type { RequestId } from "@opsbuddy/contract/Problems"
import type { Route } from "./Route.ts"
import type { Target } from "./Target.ts"

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

/** What goes to the upstream beside what the client sent. */
export interface Onward {
  readonly route: Route
  /** Milliseconds that are left for the answer's head. */
  readonly remainingMillis: number
}

/** What is known of a request, in whatever form the runtime has it. */
export interface Asked {
  readonly requestId: RequestId
  readonly method: string
  /** Path and query as they came; Bun has resolved dot segments that are not encoded, and encoded what must be. */
  readonly url: string
  readonly path: string
  readonly host: string
  readonly client: string | undefined
  readonly traceparent: string | undefined
  readonly hasBody: boolean
  readonly requestBytes: number | undefined
  readonly header: (name: string) => string | undefined
  /** The client asks for a WebSocket, and `send` opens one. */
  readonly isWebSocket: boolean
  /** Why the request can be read in more than one way, if it can. */
  readonly ambiguity: string | undefined
}

/** One request, and how it goes on. */
export interface Exchange<H extends Head> extends Asked {
  /** Sends the request to a target, handing its body over, and ends with the answer's head, or fails with `AttemptFailed`. */
  readonly send: (target: Target, onward: Onward) => Promise<H>
  /** Calls `gone` when the client leaves, at once if it has left already. Asked for only where there is something to wait for. */
  readonly watch: (gone: () => void) => void
  /** Ends what `send` has begun. */
  readonly abort: () => void
  /** An answer that will not be passed on. */
  readonly discard: (head: H) => void
}

/** Why an attempt ended without an answer's head. */
export class AttemptFailed extends Error {
  readonly reason: "connect-failed" | "upstream-reset" | "upgrade-failed" | "body-too-large" | "client-closed"
  constructor(reason: AttemptFailed["reason"], what: string) {
    super(what)
    this.reason = reason
  }
}
