import { requestIdHeader } from "@opsbuddy/runtime/RequestContext"
import type { Onward } from "./Exchange.ts"
import type { HeaderChanges } from "./GatewayConfig.ts"
import * as Fields from "./http1/Fields.ts"

/** Lines of a head are text, each with its end. */
export const line = (name: string, value: string) => `${name}: ${value}\r\n`

/** The names in a `Connection` header that are no mere connection options, in lower case. */
export const namedBy = (connection: string | undefined): ReadonlyArray<string> =>
  connection === undefined || connection === "keep-alive" || connection === "close"
    ? none
    : connection
        .toLowerCase()
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== "" && !kept.has(name))

const none: ReadonlyArray<string> = []

/** What the gateway itself goes by cannot be named away. */
const kept = new Set(["host", "content-length", "content-type", "authorization", "cookie", requestIdHeader])

/** What the gateway knows of the client, and what a trusted proxy in front of it has said. */
export interface Origin {
  /** The other end of the connection. */
  readonly peer: string | undefined
  /** The host as the client sent it. */
  readonly host: string
  /** Whether the peer is a trusted proxy, whose word is passed on. */
  readonly isTrusted: boolean
  /** The lines of the request's head. */
  readonly lines: string
}

/** An address as a value of `Forwarded` (RFC 7239, section 6). */
const node = (address: string | undefined) => {
  if (address === undefined) return "unknown"
  return address.includes(":") ? `"[${address}]"` : address
}

const after = (before: string | undefined, value: string) => (before === undefined ? value : `${before}, ${value}`)

const simpleHost = /^[\w.-]+$/

/**
 * Lines that tell the next server about the client, in the place of what the client claims of itself; after what a trusted proxy
 * says, so that the chain stays whole. `Via` is RFC 9110, section 7.6.3.
 */
export const forwarded = ({ host, isTrusted, lines, peer }: Origin) => {
  const quotedHost = simpleHost.test(host) ? host : JSON.stringify(host)
  const own = `for=${node(peer)};host=${quotedHost};proto=http`
  const said = (name: string) => (isTrusted ? Fields.find(lines, name) : undefined)
  return (
    line("X-Forwarded-For", after(said("x-forwarded-for"), peer ?? "unknown")) +
    line("X-Forwarded-Proto", said("x-forwarded-proto") ?? "http") +
    line("X-Forwarded-Host", said("x-forwarded-host") ?? host) +
    line("Forwarded", after(said("forwarded"), own)) +
    line("Via", after(said("via"), "1.1 opsbuddy"))
  )
}

/** Milliseconds that the upstream has left to begin its answer; what comes later goes to nobody. */
const remaining = ({ remainingMillis }: Onward) => Math.max(0, Math.floor(remainingMillis))

/** What the configuration adds to lines, and takes from them. */
export const change = (lines: string, { remove, set }: HeaderChanges) => {
  if (remove.length === 0 && set.length === 0) return lines
  let changed = Fields.without(lines, [...remove, ...set.map(([name]) => name)])
  for (const [name, value] of set) changed += line(name, value)
  return changed
}

/** The lines that an upstream gets: what passes of the client's, after them what the gateway says of the client and the request. */
export const forUpstream = (passed: string, forwarded: string, host: string, requestId: string, onward: Onward) =>
  change(
    `Host: ${host}\r\n${passed}${forwarded}X-Request-Id: ${requestId}\r\nX-Request-Timeout-Ms: ${remaining(onward)}\r\n`,
    onward.route.config.requestHeaders
  )

const hundredths = (millis: number) => {
  const all = Math.max(0, Math.round(millis * 100))
  const whole = Math.floor(all / 100)
  const rest = all - whole * 100
  return `${whole}.${rest < 10 ? "0" : ""}${rest}`
}

/** `Server-Timing` (https://www.w3.org/TR/server-timing/): the gateway's own time and the upstream's, in milliseconds. */
export const serverTiming = (totalMillis: number, upstreamMillis: number) =>
  `gateway;dur=${hundredths(totalMillis - upstreamMillis)}, upstream;dur=${hundredths(upstreamMillis)}`

export const isEventStream = (contentType: string | undefined) =>
  contentType?.toLowerCase().startsWith("text/event-stream") === true
