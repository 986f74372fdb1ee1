/**
 * Headers that concern one connection alone and are not passed on (RFC 9110, section 7.6.1, and `Keep-Alive` and
 * `Proxy-Connection`, which are older than it); those that `Connection` names are added to them.
 */
const hopByHop = new Set([
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
        .filter((name) => name !== "")

/** Removes hop-by-hop headers in place, touching only those that are there: each change of a native `Headers` costs. */
export const removeHopByHop = (headers: Headers) => {
  for (const name of namedBy(headers.get("connection"))) headers.delete(name)
  for (const name of hopByHop) if (headers.has(name)) headers.delete(name)
}

/** The same for the headers of Node, whose names are in lower case: gives a copy without them. */
export const withoutHopByHop = (
  headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
): Record<string, string | Array<string>> => {
  const connection = headers.connection
  const named = new Set(namedBy(typeof connection === "string" ? connection : undefined))
  const kept: Record<string, string | Array<string>> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || hopByHop.has(name) || named.has(name)) continue
    kept[name] = typeof value === "string" ? value : [...value]
  }
  return kept
}

/**
 * Whether a client asks for another protocol. HTTP/2 without encryption is an offer that some clients (Java's) make with
 * every first request and that may be ignored; all others expect the new protocol.
 */
export const isUpgrade = (upgrade: string | null | undefined) =>
  upgrade !== null && upgrade !== undefined && upgrade.toLowerCase() !== "h2c"

/**
 * What the next server is told about the client. It replaces what the client claims of itself, because no proxy in front
 * is trusted.
 */
export const forwarded = (client: string | undefined, host: string | undefined): Record<string, string> => ({
  "x-forwarded-proto": "http",
  ...(client === undefined ? {} : { "x-forwarded-for": client }),
  ...(host === undefined ? {} : { "x-forwarded-host": host })
})

/**
 * Headers of a client that end here: what it claims of itself, which `forwarded` says anew; the host, which is the
 * upstream's; and `Expect`, which the server in front of us has answered.
 */
export const replaced = [
  "host",
  "expect",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "forwarded"
] as const
