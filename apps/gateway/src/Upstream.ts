import type { CircuitState, TargetState, UpstreamStatus } from "@opsbuddy/contract/Service"
import type { Balance } from "@opsbuddy/resilience/Balance"
import * as Breaker from "@opsbuddy/resilience/Breaker"
import * as Concurrency from "@opsbuddy/resilience/Concurrency"
import * as ConsistentHash from "@opsbuddy/resilience/ConsistentHash"
import * as LeastRequests from "@opsbuddy/resilience/LeastRequests"
import * as Outliers from "@opsbuddy/resilience/Outliers"
import * as Retry from "@opsbuddy/resilience/Retry"
import * as RoundRobin from "@opsbuddy/resilience/RoundRobin"
import * as Weighted from "@opsbuddy/resilience/Weighted"
import { DateTime, Duration, Effect, type Scope } from "effect"
import type { BalanceConfig, UpstreamConfig } from "./GatewayConfig.ts"
import * as Latency from "./Latency.ts"
import { Target } from "./Target.ts"

/** How an upstream is at one moment; the same object as long as nothing changes. */
export interface Snapshot {
  readonly circuit: CircuitState
  readonly targets: ReadonlyArray<{ readonly url: string; readonly state: TargetState }>
}

const makeBalance = (config: BalanceConfig): Balance<Target> => {
  switch (config._tag) {
    case "RoundRobin":
      return RoundRobin.make()
    case "LeastRequests":
      return LeastRequests.make()
    case "Weighted":
      return Weighted.make()
    case "Hash":
      return ConsistentHash.make()
  }
}

/** The name of a balance in a configuration file. */
export const balanceName = ({ _tag }: BalanceConfig) =>
  ({ RoundRobin: "round-robin", LeastRequests: "least-requests", Weighted: "weighted", Hash: "hash" })[_tag]

/** Whole seconds, rounded up, as `Retry-After` counts. */
export const wholeSeconds = (millis: number) => Math.max(1, Math.ceil(millis / 1000))

/** One upstream as it runs: its targets, and the state of its policies. Times are milliseconds since 1970. */
export class Upstream {
  readonly config: UpstreamConfig
  readonly breaker: Breaker.Breaker
  readonly concurrency: Concurrency.Concurrency
  readonly outliers: Outliers.Outliers<Target>
  readonly budget: Retry.RetryBudget
  readonly balance: Balance<Target>
  #targets: ReadonlyArray<Target> = []
  /** All but those that drain, and what is left of them to choose from. */
  #serving: ReadonlyArray<Target> = []
  #usable: ReadonlyArray<Target> = []
  #snapshot: Snapshot | undefined
  /** When the next ejection ends, which changes what is usable. */
  #validUntil = 0

  constructor(config: UpstreamConfig, breaker: Breaker.Breaker) {
    this.config = config
    this.breaker = breaker
    this.concurrency = Concurrency.make(config.concurrency)
    this.outliers = Outliers.make(config.outliers)
    this.budget = Retry.makeBudget(config.retry.budget)
    this.balance = makeBalance(config.balance)
  }

  get targets() {
    return this.#targets
  }

  setTargets(targets: ReadonlyArray<Target>) {
    this.#targets = targets
    this.changed()
  }

  /** To be called after anything that `snapshot` or the choice of targets goes by has changed. */
  changed() {
    this.#validUntil = 0
    this.#snapshot = undefined
  }

  /**
   * The next target for a key: none of `tried` if there is another. Those that fail their health checks or are ejected are
   * left out, unless all are or all others have been tried; draining ones always. `undefined`: there is none.
   */
  choose(now: number, key: string | undefined, tried: ReadonlyArray<Target>): Target | undefined {
    if (now >= this.#validUntil) this.#refresh(now)
    const [first, ...rest] = tried.length === 0 ? this.#usable : this.#another(tried)
    if (first === undefined) return undefined
    return rest.length === 0 ? first : this.balance.choose([first, ...rest], key)
  }

  #another(tried: ReadonlyArray<Target>) {
    const isNew = (target: Target) => !tried.includes(target)
    const usable = this.#usable.filter(isNew)
    if (usable.length > 0) return usable
    // What is left out may be well again by now; what has just failed is not.
    const others = this.#serving.filter(isNew)
    return others.length > 0 ? others : this.#usable
  }

  /** Whether a target that is not one of `tried` takes requests and did not fail the last one. */
  hasSoundTarget(tried: ReadonlyArray<Target>) {
    return this.#serving.some((target) => target.failuresInRow === 0 && !tried.includes(target))
  }

  snapshot(now: number): Snapshot {
    if (now >= this.#validUntil) this.#refresh(now)
    this.#snapshot ??= {
      circuit: this.breaker.status(now).state,
      targets: this.#targets.map((target) => ({ url: target.id, state: this.stateOf(target, now) }))
    }
    return this.#snapshot
  }

  stateOf(target: Target, now: number): TargetState {
    return target.state(this.outliers.ejection(target, now) !== undefined)
  }

  #refresh(now: number) {
    const serving = this.#targets.filter((target) => !target.draining)
    const ejections = serving.map((target) => this.outliers.ejection(target, now))
    const well = serving.filter((target, index) => target.checked !== "failing" && ejections[index] === undefined)
    const passing = serving.filter((target) => target.checked !== "failing")
    this.#serving = serving
    this.#usable = well.length > 0 ? well : passing.length > 0 ? passing : serving
    this.#validUntil = Math.min(
      Number.POSITIVE_INFINITY,
      ...ejections.flatMap((ejection) => (ejection === undefined ? [] : [ejection.until]))
    )
    this.#snapshot = undefined
  }

  status(now: number): UpstreamStatus {
    const circuit = this.breaker.status(now)
    return {
      name: this.config.name,
      circuit: {
        state: circuit.state,
        since: DateTime.makeUnsafe(circuit.since),
        consecutiveFailures: circuit.consecutiveFailures,
        ...(circuit.lastFailure === undefined ? {} : { lastFailure: circuit.lastFailure }),
        ...(circuit.retryAfter === undefined
          ? {}
          : { retryAfter: wholeSeconds(Duration.toMillis(circuit.retryAfter)) }),
        ...(circuit.forcedReason === undefined ? {} : { forcedReason: circuit.forcedReason })
      },
      concurrency: this.concurrency.status(),
      retryTokens: this.budget.tokens(),
      targets: this.#targets.map((target) => this.#targetStatus(target, now))
    }
  }

  #targetStatus(target: Target, now: number): UpstreamStatus["targets"][number] {
    const latency = Latency.summary(target.latency)
    const ejection = this.outliers.ejection(target, now)
    return {
      url: target.id,
      weight: target.weight,
      health: this.stateOf(target, now),
      requests: target.requests,
      failures: target.failures,
      inFlight: target.inFlight,
      ...(target.checkedAt === undefined ? {} : { checkedAt: DateTime.makeUnsafe(target.checkedAt) }),
      ...(target.detail === undefined ? {} : { detail: target.detail }),
      ...(ejection === undefined ? {} : { ejectedUntil: DateTime.makeUnsafe(ejection.until) }),
      ...(latency === undefined ? {} : { latency })
    }
  }
}

/** The targets of a configuration, `dns://` ones left out: they are known when their name is looked up. */
export const declaredTargets = (config: UpstreamConfig): ReadonlyArray<Target> =>
  config.targets.flatMap(({ url, weight }) => (url.startsWith("dns://") ? [] : [new Target(url, url, weight)]))

export const make = Effect.fnUntraced(function* (
  config: UpstreamConfig
): Effect.fn.Return<Upstream, never, Scope.Scope> {
  const upstream = new Upstream(config, yield* Breaker.make(config.name, config.circuit))
  upstream.breaker.onTransition(() => upstream.changed())
  upstream.setTargets(declaredTargets(config))
  return upstream
})
