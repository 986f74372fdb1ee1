import { requestIdHeader } from "@opsbuddy/runtime/RequestContext"
import type { Onward } from "./Exchange.ts"
import type { HeaderChanges } from "./GatewayConfig.ts"

/**
 * Headers that concern one connection alone and are not passed on (RFC 9110, section 7.6.1, and `Keep-Alive` and
 * `Proxy-Connection`, which are older than it); those that `Connection` names are added to them.
 */
const isHopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
])

/** The names in a `Connection` header that are no mere connection options. */
export const namedBy = (connection: string | null | undefined): ReadonlyArray<string> =>
  connection === null || connection === undefined || connection === "keep-alive" || connection === "close"
    ? []
    : connection
        .toLowerCase()
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== "" && !kept.has(name))

/** What the gateway itself goes by cannot be named away by a client. */
const kept = new Set(["host", "content-length", "content-type", "authorization", "cookie", "x-request-id"])

/** What the gateway goes by in an answer's headers, and which of them are not passed on. */
export interface Inspected {
  readonly contentLength: string | undefined
  readonly contentType: string | undefined
  readonly retryAfter: string | undefined
  readonly hopByHop: ReadonlyArray<string>
}

const none: ReadonlyArray<string> = []

/** Looks at all headers in one go: each question to a native `Headers` costs as much as a hundred lines of JavaScript. */
export const inspect = (headers: Headers): Inspected => {
  let contentLength: string | undefined
  let contentType: string | undefined
  let retryAfter: string | undefined
  let connection: string | undefined
  let found: Array<string> | undefined
  headers.forEach((value, name) => {
    if (name === "content-length") contentLength = value
    else if (name === "content-type") contentType = value
    else if (name === "retry-after") retryAfter = value
    else if (isHopByHop.has(name)) {
      if (name === "connection") connection = value
      found = found === undefined ? [name] : [...found, name]
    }
  })
  return {
    contentLength,
    contentType,
    retryAfter,
    hopByHop: found === undefined ? none : [...namedBy(connection), ...found]
  }
}

/** The same for headers as a record by names in lower case: gives a copy without them. */
export const withoutHopByHop = <V extends string | Array<string>>(
  headers: Readonly<Record<string, V | undefined>>
): Record<string, V> => {
  const { connection } = headers
  const named = namedBy(typeof connection === "string" ? connection : undefined)
  const passed: Record<string, V> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || isHopByHop.has(name) || named.includes(name)) continue
    passed[name] = value
  }
  return passed
}

/** What the gateway knows of the client, and what a trusted proxy in front of it has said. */
export interface Origin {
  /** The other end of the connection. */
  readonly peer: string | undefined
  /** `Host` as the client sent it. */
  readonly host: string
  /** Whether the peer is a trusted proxy, whose word is passed on. */
  readonly isTrusted: boolean
  readonly header: (name: string) => string | undefined
}

/** An address as a value of `Forwarded` (RFC 7239, section 6). */
const node = (address: string | undefined) => {
  if (address === undefined) return "unknown"
  return address.includes(":") ? `"[${address}]"` : address
}

const after = (before: string | undefined, value: string) => (before === undefined ? value : `${before}, ${value}`)

const simpleHost = /^[\w.-]+$/

/**
 * Sets the headers that tell the next server about the client, in the place of what the client claims of itself; after what a
 * trusted proxy says, so that the chain stays whole. `Via` is RFC 9110, section 7.6.3.
 */
export const setForwarded = (set: (name: string, value: string) => void, origin: Origin) => {
  const { header, host, isTrusted, peer = "unknown" } = origin
  const quotedHost = simpleHost.test(host) ? host : JSON.stringify(host)
  const own = `for=${node(origin.peer)};host=${quotedHost};proto=http`
  if (isTrusted) {
    set("x-forwarded-for", after(header("x-forwarded-for"), peer))
    set("forwarded", after(header("forwarded"), own))
    if (header("x-forwarded-proto") === undefined) set("x-forwarded-proto", "http")
    if (header("x-forwarded-host") === undefined) set("x-forwarded-host", host)
  } else {
    set("x-forwarded-for", peer)
    set("forwarded", own)
    set("x-forwarded-proto", "http")
    set("x-forwarded-host", host)
  }
  set("via", after(isTrusted ? header("via") : undefined, "1.1 opsbuddy"))
}

/**
 * Headers of a client that end here: the host, which is the upstream's, and `Expect`, which the server in front of us has
 * answered.
 */
const dropped = ["host", "expect"] as const

/** Milliseconds that the upstream has left to begin its answer; what comes later goes to nobody. */
const remainingHeader = "x-request-timeout-ms"

const remaining = ({ remainingMillis }: Onward) => String(Math.max(0, Math.floor(remainingMillis)))

/** What the configuration adds to a record of headers by names in lower case, and takes from it. */
export const change = (headers: Record<string, string | Array<string>>, { remove, set }: HeaderChanges) => {
  for (const name of remove) delete headers[name]
  for (const [name, value] of set) headers[name] = value
}

/** Makes of a client's headers, a copy without those of its own connection, what the upstream gets. */
export const forUpstream = (
  headers: Record<string, string | Array<string>>,
  origin: Origin,
  requestId: string,
  onward: Onward
) => {
  for (const name of dropped) delete headers[name]
  setForwarded((name, value) => {
    headers[name] = value
  }, origin)
  headers[requestIdHeader] = requestId
  headers[remainingHeader] = remaining(onward)
  change(headers, onward.route.config.requestHeaders)
}

const hundredths = (millis: number) => {
  const all = Math.max(0, Math.round(millis * 100))
  const whole = Math.floor(all / 100)
  const rest = all - whole * 100
  return `${whole}.${rest < 10 ? "0" : ""}${rest}`
}

/** `Server-Timing` (https://www.w3.org/TR/server-timing/): the gateway's own time and the upstream's, in milliseconds. */
export const serverTiming = (totalMillis: number, upstreamMillis: number) =>
  `gateway;dur=${hundredths(totalMillis - upstreamMillis)}, upstream;dur=${hundredths(upstreamMillis)}`

export const isEventStream = (contentType: string | null | undefined) =>
  contentType?.startsWith("text/event-stream") === true
