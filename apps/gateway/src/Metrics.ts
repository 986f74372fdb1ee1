import type { Gateway } from "./Gateway.ts"
import * as Route from "./Route.ts"
import { bounds } from "./RouteMetrics.ts"

type Labels = Readonly<Record<string, string | number>>

const escape = (value: string | number) =>
  String(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")

const labelled = (labels: Labels) =>
  `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escape(value)}"`)
    .join(",")}}`

/** Collects samples in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/). */
const writer = () => {
  const lines: Array<string> = []
  const family = (name: string, type: "counter" | "gauge" | "histogram", help: string) => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    return (labels: Labels, value: number, suffix = "") => lines.push(`${name}${suffix}${labelled(labels)} ${value}`)
  }
  return { lines, family }
}

const circuitValues = { closed: 0, "half-open": 1, open: 2, "forced-closed": 3, "forced-open": 4 } as const

/**
 * The gateway's metrics. Labels are routes, upstreams and targets of the configuration, classes of status and names of
 * problems, and nothing that a client can choose.
 */
export const format = (gateway: Gateway["Service"], now: number): string => {
  const { routes: configured, upstreams } = gateway.running()
  const routes = [...configured, Route.none]
  const { family, lines } = writer()

  const requests = family("opsbuddy_gateway_requests_total", "counter", "requests by route and class of status")
  for (const { config, metrics } of routes) {
    for (const [index, count] of metrics.statuses.entries()) {
      if (count > 0) requests({ route: config.name, upstream: config.upstream ?? "none", status: `${index}xx` }, count)
    }
  }
  const causes = family(
    "opsbuddy_gateway_refusals_total",
    "counter",
    "requests that were refused or broken off, by cause"
  )
  for (const { config, metrics } of routes) {
    for (const [cause, count] of metrics.causes) causes({ route: config.name, cause }, count)
  }
  const durations = family(
    "opsbuddy_gateway_request_duration_seconds",
    "histogram",
    "from the request's head to the answer's"
  )
  for (const { config, metrics } of routes) {
    const route = config.name
    let sum = 0
    for (const [index, count] of metrics.durations.entries()) {
      sum += count
      const bound = bounds[index]
      durations({ route, le: bound === undefined ? "+Inf" : bound / 1000 }, sum, "_bucket")
    }
    durations({ route }, metrics.durationSum / 1000, "_sum")
    durations({ route }, sum, "_count")
  }
  const retries = family("opsbuddy_gateway_retries_total", "counter", "attempts after the first")
  for (const { config, metrics } of routes) retries({ route: config.name }, metrics.retries)
  const received = family("opsbuddy_gateway_request_bytes_total", "counter", "bytes of request bodies of known length")
  for (const { config, metrics } of routes) received({ route: config.name }, metrics.requestBytes)
  const sent = family("opsbuddy_gateway_response_bytes_total", "counter", "bytes of answers' bodies")
  for (const { config, metrics } of routes) sent({ route: config.name }, metrics.responseBytes)

  const all = Array.from(upstreams.values(), (upstream) => upstream.status(now))
  const circuits = family(
    "opsbuddy_gateway_circuit_state",
    "gauge",
    "0 closed, 1 half-open, 2 open, 3 forced closed, 4 forced open"
  )
  for (const { circuit, name } of all) circuits({ upstream: name }, circuitValues[circuit.state])
  const active = family("opsbuddy_gateway_upstream_active", "gauge", "requests in flight")
  for (const { concurrency, name } of all) active({ upstream: name }, concurrency.active)
  const queued = family("opsbuddy_gateway_upstream_queued", "gauge", "requests that wait for a place")
  for (const { concurrency, name } of all) queued({ upstream: name }, concurrency.queued)
  const tokens = family("opsbuddy_gateway_retry_tokens", "gauge", "retries that the budget allows")
  for (const { name, retryTokens } of all) tokens({ upstream: name }, retryTokens)
  const targets = all.flatMap(({ name, targets }) =>
    targets.map((target) => ({ ...target, labels: { upstream: name, target: target.url } }))
  )
  const up = family("opsbuddy_gateway_target_up", "gauge", "1 where a target takes requests")
  for (const { health, labels } of targets) up(labels, health === "healthy" || health === "unknown" ? 1 : 0)
  const attempts = family("opsbuddy_gateway_target_requests_total", "counter", "attempts at a target")
  for (const { labels, requests } of targets) attempts(labels, requests)
  const failures = family("opsbuddy_gateway_target_failures_total", "counter", "attempts that failed")
  for (const target of targets) failures(target.labels, target.failures)

  const { recordsDropped, recordsSent, recordsWaiting } = gateway.records.counters()
  family("opsbuddy_gateway_records_sent_total", "counter", "request records that analytics took")({}, recordsSent)
  family(
    "opsbuddy_gateway_records_dropped_total",
    "counter",
    "request records lost to a full buffer"
  )({}, recordsDropped)
  family("opsbuddy_gateway_records_waiting", "gauge", "request records on their way to analytics")({}, recordsWaiting)
  const store = family("opsbuddy_gateway_rate_limit_store_gone", "gauge", "1 while the shared store does not answer")
  store({}, gateway.limits.status().gone ? 1 : 0)
  family("opsbuddy_gateway_config_revision", "gauge", "configurations since the start")({}, gateway.running().revision)
  return `${lines.join("\n")}\n`
}
