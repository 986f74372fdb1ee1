import type { HealthState, ServiceHealth, UpstreamStatus } from "@opsbuddy/contract/Service"
import { Context, Effect, Layer } from "effect"
import * as Upstream from "./Upstream.ts"

/** The upstreams by name. */
export class Upstreams extends Context.Service<
  Upstreams,
  {
    readonly all: ReadonlyArray<Upstream.Upstream>
    readonly get: (name: string) => Upstream.Upstream | undefined
    /** Every upstream with its targets, circuit and recent latency. */
    readonly status: Effect.Effect<ReadonlyArray<UpstreamStatus>>
    /** Every upstream as its last health checks found it; nothing is asked now. */
    readonly health: Effect.Effect<ReadonlyArray<typeof ServiceHealth.Type>>
  }
>()("@opsbuddy/gateway/Upstreams") {
  static readonly layer = (configs: ReadonlyArray<Upstream.UpstreamConfig>) =>
    Layer.effect(
      Upstreams,
      Effect.gen(function* () {
        const all = yield* Effect.forEach(configs, Upstream.make)
        const byName = new Map(all.map((upstream) => [upstream.config.name, upstream]))
        return Upstreams.of({
          all,
          get: (name) => byName.get(name),
          status: Effect.forEach(all, (upstream) => upstream.status),
          health: Effect.sync(() => all.map(summary))
        })
      })
    )
}

const severity = { healthy: 0, unknown: 1, degraded: 2, unhealthy: 3 } as const

const targetState = (target: Upstream.Target): HealthState | "unknown" => {
  if (target.health === "failing") return "unhealthy"
  return target.health === "healthy" && target.detail === "degraded" ? "degraded" : target.health
}

/** An upstream is healthy as long as all its targets are, and unhealthy only when none is left. */
const summary = (upstream: Upstream.Upstream): typeof ServiceHealth.Type => {
  const states = upstream.targets.map(targetState).sort((a, b) => severity[b] - severity[a])
  const worst = states[0] ?? "unknown"
  const status = worst === "unhealthy" && states.at(-1) !== "unhealthy" ? "degraded" : worst
  const detail = upstream.targets.find((target) => targetState(target) === worst)?.detail
  return {
    name: upstream.config.name,
    status,
    ...(status === "healthy" || detail === undefined ? {} : { detail })
  }
}
