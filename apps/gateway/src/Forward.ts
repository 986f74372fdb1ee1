import type { RequestRecord } from "@opsbuddy/contract/Analytics"
import { AmbiguousPath, UpgradeNotSupported, UpstreamReset } from "@opsbuddy/contract/Gateway"
import { InternalError, NoRoute, type RequestId } from "@opsbuddy/contract/Problems"
import type * as Breaker from "@opsbuddy/resilience/Breaker"
import { RequestContext } from "@opsbuddy/runtime/RequestContext"
import { Cause, Clock, Context, DateTime, Duration, Effect, Exit, Layer } from "effect"
import * as Latency from "./Latency.ts"
import { RecordSender } from "./RecordSender.ts"
import * as Refusal from "./Refusal.ts"
import type { Route } from "./RouteTable.ts"
import * as RouteTable from "./RouteTable.ts"
import { type Target, type Upstream, wholeSeconds } from "./Upstream.ts"
import { Upstreams } from "./Upstreams.ts"

/** The head of an upstream's answer; its body follows by itself, from the upstream's socket to the client's. */
export interface Head {
  readonly status: number
  /** From `Content-Length`, where the upstream gave one. */
  readonly bytes: number | undefined
}

/** One request, in whatever form the runtime has it. */
export interface Exchange<H extends Head> {
  readonly requestId: RequestId
  readonly method: string
  /** Path and query as they came; Bun has resolved dot segments that are not encoded, and encoded what must be. */
  readonly url: string
  readonly path: string
  readonly client: string | undefined
  readonly traceparent: string | undefined
  readonly upgrade: boolean
  readonly hasBody: boolean
  readonly requestBytes: number | undefined
  /** Sends the request to a target, handing its body over, and ends with the answer's head. Interrupting it cancels. */
  readonly attempt: (target: Target) => Effect.Effect<H, Refusal.AttemptFailed>
}

/** Takes requests to upstreams, under the policies of those, and records what became of each. */
export class Forward extends Context.Service<
  Forward,
  {
    /** The route of a path without its query; `RouteTable.none` where it has none, `undefined` for the gateway's own paths. */
    readonly route: RouteTable.RouteTable
    readonly forward: <H extends Head>(route: Route, exchange: Exchange<H>) => Effect.Effect<H, Refusal.Refusal>
  }
>()("@opsbuddy/gateway/Forward") {
  /** `isOwn` tells the paths that the gateway serves itself; a route that matches comes first. */
  static readonly layer = (routes: ReadonlyArray<Route>, isOwn: (path: string) => boolean) =>
    Layer.effect(
      Forward,
      Effect.gen(function* () {
        const upstreams = yield* Upstreams
        const records = yield* RecordSender
        const table = RouteTable.make(routes)
        return Forward.of({
          route: (path) => table(path) ?? (isOwn(path) ? undefined : RouteTable.none),
          forward: make(upstreams, records)
        })
      })
    )
}

/** Answers that say that the server in front of the upstream, or the upstream itself, cannot serve at the moment. */
const isFailure = (status: number) => status === 502 || status === 503 || status === 504

/**
 * The one place that says what counts against an upstream. Connections that break at one moment, because a process ended,
 * are one failure: of several resets those do not count whose request began before the last one that did.
 */
const outcome =
  (target: Target, started: bigint, now: () => bigint) =>
  (exit: Exit.Exit<Head, Refusal.Refusal>): Breaker.Outcome => {
    if (Exit.isSuccess(exit)) {
      const { status } = exit.value
      return isFailure(status) ? { _tag: "Failure", reason: `status ${status}` } : { _tag: "Success" }
    }
    const error = Cause.squash(exit.cause)
    if (error instanceof UpstreamReset) {
      if (started < target.lastReset) return { _tag: "Ignored" }
      target.lastReset = now()
    }
    return { _tag: "Failure", reason: error instanceof Error ? error.message : "failed" }
  }

/** Sends to the next target and counts, within the time that the upstream is given. */
const attempt = Effect.fnUntraced(function* <H extends Head>(
  upstream: Upstream,
  target: Target,
  exchange: Exchange<H>
): Effect.fn.Return<H, Refusal.Refusal> {
  const started = yield* Clock.monotonicTimeNanos
  const { head, upload } = upstream.config.timeouts
  const timeout = exchange.hasBody ? upload : head
  target.requests++
  target.inFlight++
  const answer = yield* exchange.attempt(target).pipe(
    Effect.mapError((error) => Refusal.attemptFailed(upstream, target, error)),
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => Effect.fail(Refusal.attemptTimedOut(upstream, target, Duration.toMillis(timeout)))
    }),
    Effect.onError((cause) => Effect.sync(() => (Cause.hasInterruptsOnly(cause) ? 0 : target.failures++))),
    Effect.ensuring(Effect.sync(() => target.inFlight--))
  )
  if (isFailure(answer.status)) target.failures++
  Latency.record(target.latency, Number((yield* Clock.monotonicTimeNanos) - started) / 1e6)
  return answer
})

/** Through the circuit to a target. */
const call = <H extends Head>(
  upstream: Upstream,
  target: Target,
  exchange: Exchange<H>
): Effect.Effect<H, Refusal.Refusal> =>
  Effect.clockWith((clock) => {
    const now = () => clock.monotonicTimeNanosUnsafe()
    return upstream.breaker.protect(attempt(upstream, target, exchange), outcome(target, now(), now))
  }).pipe(
    Effect.catchTag("CircuitBreakerError", ({ reason }) =>
      Effect.flatMap(upstream.breaker.status, (status) =>
        Effect.fail(
          Refusal.circuitOpen(
            upstream,
            status,
            reason._tag === "CircuitOpen" ? wholeSeconds(reason.retryAfter) : undefined
          )
        )
      )
    )
  )

const refusedBefore = <H extends Head>(route: Route, exchange: Exchange<H>) => {
  if (route === RouteTable.none) return new NoRoute({ detail: `nothing is served at ${exchange.path}` })
  if (RouteTable.isAmbiguous(exchange.path)) {
    return new AmbiguousPath({ detail: "dot segments, backslashes and encoded slashes are refused in paths" })
  }
  return exchange.upgrade
    ? new UpgradeNotSupported({ detail: "WebSocket and other upgrades end at the gateway" })
    : undefined
}

const make = (upstreams: typeof Upstreams.Service, records: typeof RecordSender.Service) =>
  Effect.fnUntraced(function* <H extends Head>(
    route: Route,
    exchange: Exchange<H>
  ): Effect.fn.Return<H, Refusal.Refusal> {
    const timestamp = yield* DateTime.now
    const started = yield* Clock.monotonicTimeNanos
    const refused = refusedBefore(route, exchange)
    const upstream = refused === undefined ? upstreams.get(route.upstream) : undefined
    const target = upstream?.choose()
    const answer =
      upstream !== undefined && target !== undefined
        ? call(upstream, target, exchange)
        : (refused ?? Effect.die(new Error(`route ${route.name} leads to no upstream`)))
    return yield* answer.pipe(
      Effect.catchDefect((defect) =>
        Effect.andThen(
          Effect.logError("forwarding failed", { route: route.name, path: exchange.path }, Cause.die(defect)),
          new InternalError({})
        )
      ),
      Effect.onExit((exit) =>
        Effect.map(Clock.monotonicTimeNanos, (now) =>
          records.offer(record(route, exchange, target, exit, timestamp, Number(now - started) / 1e6))
        )
      ),
      Effect.provideService(RequestContext, { requestId: exchange.requestId })
    )
  })

/** `client-closed` is nginx's 499: the client left before there was an answer. */
const clientClosed = { status: 499, cause: "client-closed" }

const answered = <H extends Head>(exit: Exit.Exit<H, Refusal.Refusal>) => {
  if (Exit.isSuccess(exit)) return { status: exit.value.status, responseBytes: exit.value.bytes }
  const failure = Cause.findErrorOption(exit.cause)
  return failure._tag === "None"
    ? clientClosed
    : { status: failure.value.status, cause: Refusal.causeOf(failure.value) }
}

const traceId = (traceparent: string | undefined) => traceparent?.match(/^[0-9a-f]{2}-([0-9a-f]{32})-/)?.[1]

const record = <H extends Head>(
  route: Route,
  exchange: Exchange<H>,
  target: Target | undefined,
  exit: Exit.Exit<H, Refusal.Refusal>,
  timestamp: DateTime.Utc,
  durationMillis: number
): RequestRecord => {
  const answer = answered(exit)
  const sent = "cause" in answer && answer.cause === "circuit-open" ? undefined : target
  const trace = traceId(exchange.traceparent)
  return {
    requestId: exchange.requestId,
    timestamp,
    method: exchange.method,
    path: exchange.path,
    route: route.name,
    service: route.upstream,
    durationMillis,
    status: answer.status,
    ...("cause" in answer ? { cause: answer.cause } : {}),
    ...(sent === undefined ? {} : { target: sent.url, upstreamMillis: durationMillis }),
    ...("responseBytes" in answer && answer.responseBytes !== undefined ? { responseBytes: answer.responseBytes } : {}),
    ...(exchange.requestBytes === undefined ? {} : { requestBytes: exchange.requestBytes }),
    ...(exchange.client === undefined ? {} : { client: exchange.client }),
    ...(trace === undefined ? {} : { traceId: trace })
  }
}
