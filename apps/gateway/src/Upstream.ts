import type { TargetStatus, UpstreamStatus } from "@opsbuddy/contract/Service"
import * as Balance from "@opsbuddy/resilience/Balance"
import * as Breaker from "@opsbuddy/resilience/Breaker"
import { type DateTime, Duration, Effect, type Scope, Stream } from "effect"
import * as Latency from "./Latency.ts"

/** What an upstream is: where it is, and the policies of the calls to it. */
export interface UpstreamConfig {
  readonly name: string
  readonly targets: readonly [string, ...Array<string>]
  readonly circuit: Breaker.BreakerPolicy
  readonly timeouts: {
    /** From the request to the answer's head, for requests without a body. */
    readonly head: Duration.Input
    /** The same for requests with a body, which are answered when all of it has arrived. */
    readonly upload: Duration.Input
  }
  readonly healthPath: `/${string}`
}

export const defaults = {
  circuit: Breaker.defaultPolicy,
  timeouts: { head: "30 seconds", upload: "1 hour" },
  healthPath: "/health"
} as const satisfies Partial<UpstreamConfig>

/** One address, and what is known about it. Written by the data path and by the health checks. */
export interface Target {
  readonly url: string
  health: TargetStatus["health"]
  checkedAt: DateTime.Utc | undefined
  detail: string | undefined
  requests: number
  failures: number
  inFlight: number
  /** When a reset counted as a failure the last time, in nanoseconds of the monotonic clock. */
  lastReset: bigint
  readonly latency: Latency.Latency
}

export interface Upstream {
  readonly config: UpstreamConfig
  readonly targets: readonly [Target, ...Array<Target>]
  readonly breaker: Breaker.Breaker
  /** The next target: those that do not fail their health checks, or all when all fail. */
  readonly choose: () => Target
  readonly status: Effect.Effect<UpstreamStatus>
}

const makeTarget = (url: string): Target => ({
  url,
  health: "unknown",
  checkedAt: undefined,
  detail: undefined,
  requests: 0,
  failures: 0,
  inFlight: 0,
  lastReset: 0n,
  latency: Latency.make()
})

const targetStatus = (target: Target): TargetStatus => {
  const latency = Latency.summary(target.latency)
  return {
    url: target.url,
    health: target.health,
    requests: target.requests,
    failures: target.failures,
    inFlight: target.inFlight,
    ...(target.checkedAt === undefined ? {} : { checkedAt: target.checkedAt }),
    ...(target.detail === undefined ? {} : { detail: target.detail }),
    ...(latency === undefined ? {} : { latency })
  }
}

/** Whole seconds, rounded up, as `Retry-After` counts. */
export const wholeSeconds = (duration: Duration.Duration) => Math.max(1, Math.ceil(Duration.toSeconds(duration)))

const circuitStatus = (status: Breaker.BreakerStatus) => ({
  state: status.state,
  consecutiveFailures: status.consecutiveFailures,
  ...(status.lastFailure === undefined ? {} : { lastFailure: status.lastFailure }),
  ...(status.retryAfter === undefined ? {} : { retryAfter: wholeSeconds(status.retryAfter) })
})

/** Makes an upstream, and logs each change of its circuit with the reason. */
export const make = Effect.fnUntraced(function* (
  config: UpstreamConfig
): Effect.fn.Return<Upstream, never, Scope.Scope> {
  const [first, ...rest] = config.targets
  const targets = [makeTarget(first), ...rest.map(makeTarget)] as const
  const breaker = yield* Breaker.make(config.name, config.circuit)
  const balance = Balance.roundRobin<Target>()
  yield* breaker.transitions.pipe(
    Stream.runForEach(
      Effect.fnUntraced(function* ({ from, to }) {
        const { lastFailure } = yield* breaker.status
        const change = { upstream: config.name, from, to, ...(to === "Open" ? { reason: lastFailure } : {}) }
        yield* to === "Open" ? Effect.logWarning("circuit opened", change) : Effect.logInfo("circuit changed", change)
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )
  return {
    config,
    targets,
    breaker,
    choose: () => {
      const [usable, ...others] = targets.filter((target) => target.health !== "failing")
      return balance.choose(usable === undefined ? targets : [usable, ...others])
    },
    status: Effect.map(breaker.status, (status) => ({
      name: config.name,
      circuit: circuitStatus(status),
      targets: targets.map(targetStatus)
    }))
  }
})
