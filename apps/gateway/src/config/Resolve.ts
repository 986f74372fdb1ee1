import type { BalanceConfig, HeaderChanges, RouteConfig, UpstreamConfig } from "../GatewayConfig.ts"
import type { Route, Upstream } from "./ConfigDocument.ts"

const balances = {
  "round-robin": { _tag: "RoundRobin" },
  "least-requests": { _tag: "LeastRequests" },
  weighted: { _tag: "Weighted" }
} as const satisfies Record<string, BalanceConfig>

/** The upstream as the gateway takes it. */
export const upstream = (name: string, written: Upstream): UpstreamConfig => ({
  name,
  targets: written.targets,
  balance:
    typeof written.balance === "string" ? balances[written.balance] : { _tag: "Hash", by: written.balance.hash.by },
  timeouts: written.timeouts,
  retry: written.retry,
  circuit: {
    consecutiveFailures: written.circuit.consecutiveFailures,
    failureRate: written.circuit.failureRate,
    slowCall: written.circuit.slowCall,
    openFor: written.circuit.openFor,
    probeTimeout: written.circuit.probeTimeout
  },
  outliers: written.outliers,
  health: written.health === "off" ? undefined : { ...written.health, path: `/${written.health.path.slice(1)}` },
  concurrency: written.concurrency
})

/** The route as the gateway takes it. */
export const route = (written: Route): RouteConfig => ({
  name: written.name,
  host: written.host?.toLowerCase(),
  path: written.exact ?? written.path ?? "/",
  match: written.exact === undefined ? "prefix" : "exact",
  methods: written.methods ?? [],
  headers: lowerCase(written.headers),
  upstream: written.upstream,
  redirect: written.redirect,
  replacePrefix: replacePrefix(written),
  requestHeaders: changes(written.requestHeaders),
  responseHeaders: changes(written.responseHeaders),
  maxBody: written.maxBody,
  limit: written.limit === undefined ? undefined : limit(written.limit),
  cors: written.cors,
  securityHeaders: written.securityHeaders,
  timeouts: written.timeouts,
  retry: written.retry
})

const replacePrefix = ({ replacePrefix, stripPrefix }: Route) => {
  if (stripPrefix === true || replacePrefix === "/") return ""
  return replacePrefix
}

const lowerCase = (headers: Readonly<Record<string, string>>) =>
  Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)

const changes = ({ remove, set }: Route["requestHeaders"]): HeaderChanges => ({
  set: lowerCase(set),
  remove: remove.map((name) => name.toLowerCase())
})

const limit = ({ burst, by, rate }: NonNullable<Route["limit"]>) => ({ ...rate, burst, by })
