import type { HealthState, ServiceHealth } from "@opsbuddy/contract/Service"
import type { Target } from "./Target.ts"
import type { Upstream } from "./Upstream.ts"

const severity = { healthy: 0, unknown: 1, degraded: 2, unhealthy: 3 } as const

const targetState = (target: Target): HealthState | "unknown" => {
  if (target.checked === "failing") return "unhealthy"
  return target.checked === "healthy" && target.detail === "degraded" ? "degraded" : target.checked
}

/** An upstream as its last health checks found it: healthy as long as all its targets are, unhealthy only when none is left. */
export const summary = (upstream: Upstream): typeof ServiceHealth.Type => {
  const states = upstream.targets.map(targetState).sort((a, b) => severity[b] - severity[a])
  const worst = upstream.config.health === undefined ? "healthy" : (states[0] ?? "unhealthy")
  const status = worst === "unhealthy" && states.length > 0 && states.at(-1) !== "unhealthy" ? "degraded" : worst
  const detail =
    states.length === 0 ? "no target" : upstream.targets.find((target) => targetState(target) === worst)?.detail
  return {
    name: upstream.config.name,
    status,
    ...(status === "healthy" || detail === undefined ? {} : { detail })
  }
}
