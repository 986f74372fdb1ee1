import type { Quota } from "@opsbuddy/resilience/RateLimit"
import { Duration } from "effect"
import type { RouteLimitConfig } from "./GatewayConfig.ts"

/** `RateLimit-Policy` and `RateLimit` as in https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10 */
export const of = (
  route: string,
  { burst, per, rate }: RouteLimitConfig,
  quota: Pick<Quota, "remaining" | "resetAfterMillis">
): ReadonlyArray<readonly [string, string]> => {
  const name = JSON.stringify(route.replaceAll(/[^ -~]/g, "?"))
  const windowSeconds = Math.max(1, Math.round((Duration.toMillis(per) / 1000) * (burst / rate)))
  const remaining = Math.max(0, Math.floor(quota.remaining))
  return [
    ["ratelimit-policy", `${name};q=${burst};w=${windowSeconds}`],
    ["ratelimit", `${name};r=${remaining};t=${Math.ceil(quota.resetAfterMillis / 1000)}`]
  ]
}
