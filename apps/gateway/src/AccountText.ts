import type { RequestRecord } from "@opsbuddy/contract/Analytics"
import type { RequestAccount } from "@opsbuddy/contract/Gateway"
import type { Account, Attempt } from "./Account.ts"
import type { Route } from "./Route.ts"
import * as RouteTable from "./RouteTable.ts"
import { balanceName, type Snapshot } from "./Upstream.ts"

/**
 * Accounts as JSON, written by hand: there is one for every request, and as text in a buffer it costs the garbage collector
 * nothing. The types beside say what the text is.
 */

const quote = JSON.stringify

/** Nothing in it needs escaping, as in nearly all paths, hosts and addresses. */
const plain = /^[ !#-[\]-~]*$/

const text = (value: string) => (plain.test(value) ? `"${value}"` : quote(value))

const member = (name: string, value: string | number | undefined) => {
  if (value === undefined) return ""
  return typeof value === "number" ? `,"${name}":${value}` : `,"${name}":${text(value)}`
}

/** For what has nothing in it that needs escaping: an address, a URL, digits. */
const known = (name: string, value: string | undefined) => (value === undefined ? "" : `,"${name}":"${value}"`)

const traceIdOf = (traceparent: string | undefined) => traceparent?.match(/^[0-9a-f]{2}-([0-9a-f]{32})-/)?.[1]

/** Milliseconds to three places. By integers, because the shortest text of a fraction takes long to find. */
const rounded = (millis: number) => {
  const micros = Math.round(millis * 1000)
  const whole = Math.floor(micros / 1000)
  const rest = micros - whole * 1000
  return `${whole}.${rest < 10 ? "00" : rest < 100 ? "0" : ""}${rest}`
}

let lastMillis = 0
let lastTime = ""

/** RFC 3339; many requests come in one millisecond. */
const timeOf = (millis: number) => {
  if (millis !== lastMillis) {
    lastMillis = millis
    lastTime = new Date(millis).toISOString()
  }
  return lastTime
}

const routes = new WeakMap<Route, string>()

const routeText = (route: Route) => {
  const known = routes.get(route)
  if (known !== undefined) return known
  const { config } = route
  const written = quote({
    name: config.name,
    matched: config.name === "none" ? "no route matches" : RouteTable.describe(config)
  } satisfies RequestAccount["route"])
  routes.set(route, written)
  return written
}

const snapshots = new WeakMap<Snapshot, string>()

/** The end of `RequestAccount["upstream"]`. */
const snapshotText = (snapshot: Snapshot) => {
  const known = snapshots.get(snapshot)
  if (known !== undefined) return known
  const written = `"circuit":"${snapshot.circuit}","targets":${quote(snapshot.targets)}`
  snapshots.set(snapshot, written)
  return written
}

const upstreamText = ({ active, queued, route, upstream }: Account) => {
  if (upstream === undefined || route.upstream === undefined) return ""
  const { balance, name } = route.upstream.config
  return `,"upstream":{"name":"${name}","active":${active},"queued":${queued},"balance":"${balanceName(balance)}",${snapshotText(upstream)}}`
}

const attemptText = (account: Account, { detail, ended, outcome, started, status, target }: Attempt) => {
  const duration = rounded((ended ?? account.elapsed()) - started)
  return `{"target":"${target.id}","startedMillis":${rounded(started)},"durationMillis":${duration},"outcome":"${outcome}"${member("status", status)}${member("detail", detail)}}`
}

const attemptsText = (account: Account) => {
  const { lastAttempt } = account
  if (lastAttempt === undefined) return ""
  if (lastAttempt.previous === undefined) return attemptText(account, lastAttempt)
  return account
    .attempts()
    .map((attempt) => attemptText(account, attempt))
    .join()
}

/** What every text begins with, up to the id's end. */
export const beginning = (requestId: string) => `{"requestId":"${requestId}"`

/** `RequestAccount`, encoded: what the gateway tells about the request. */
export const account = (it: Account): string =>
  `${beginning(it.requestId)},"timestamp":"${timeOf(it.at)}","method":"${it.method}","path":${text(it.path)}` +
  member("host", it.host === "" ? undefined : it.host) +
  known("client", it.client) +
  known("traceId", traceIdOf(it.traceparent)) +
  `,"route":${routeText(it.route)}${it.limit === undefined ? "" : `,"limit":${quote(it.limit)}`}` +
  `${upstreamText(it)},"attempts":[${attemptsText(it)}],"answer":{"by":"${it.by}","status":${it.status}` +
  member("cause", it.cause) +
  member("detail", it.detail) +
  member("requestBytes", it.requestBytes) +
  member("responseBytes", it.responseBytes) +
  `,"durationMillis":${rounded(it.durationMillis)}}}`

/** `RequestRecord`, encoded: what analytics keeps of the request. */
export const record = (it: Account): string => {
  const { lastAttempt, route } = it
  return (
    `${beginning(it.requestId)},"timestamp":"${timeOf(it.at)}","method":"${it.method}","path":${text(it.path)}` +
    `,"route":${text(route.config.name)},"service":"${route.upstream?.config.name ?? "gateway"}","status":${it.status}` +
    member("cause", it.cause) +
    known("target", lastAttempt?.target.id) +
    (lastAttempt?.ended === undefined ? "" : `,"upstreamMillis":${rounded(it.upstreamMillis())}`) +
    member("responseBytes", it.responseBytes) +
    member("requestBytes", it.requestBytes) +
    known("client", it.client) +
    known("traceId", traceIdOf(it.traceparent)) +
    `,"durationMillis":${rounded(it.durationMillis)}}`
  )
}

/** The texts' types, for whoever reads them. */
export type AccountEncoded = typeof RequestAccount.Encoded
export type RecordEncoded = typeof RequestRecord.Encoded
