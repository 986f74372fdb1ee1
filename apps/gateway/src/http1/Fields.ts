/**
 * The field lines of a message's head (RFC 9112, section 5), as text: one character a byte. A head is looked through once, when
 * it comes; what passes on passes on as it was written, and what is not needed for nearly every request is looked for only
 * where it is asked for.
 */

/** What ends a head. */
export const blankLine = Buffer.from("\r\n\r\n")

/** What the gateway does with a field: passes it on, drops it, or goes by it (the others). */
export type Role =
  | "pass"
  | "drop"
  | "host"
  | "content-length"
  | "transfer-encoding"
  | "connection"
  | "upgrade"
  | "expect"
  | "x-request-id"
  | "traceparent"
  | "content-type"
  | "retry-after"
  | "keep-alive"

/** Roles by the name of a field in lower case. */
export type Roles = ReadonlyMap<string, Role>

/** A field's name (RFC 9110, section 5.6.2). */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** Names as clients and servers write them, which need no second look. */
const usual = [
  "Accept",
  "Accept-Encoding",
  "Accept-Language",
  "Accept-Ranges",
  "Authorization",
  "Cache-Control",
  "Connection",
  "Content-Encoding",
  "Content-Length",
  "Content-Type",
  "Cookie",
  "Date",
  "ETag",
  "Expires",
  "Host",
  "If-Match",
  "If-Modified-Since",
  "If-None-Match",
  "Keep-Alive",
  "Last-Modified",
  "Location",
  "Origin",
  "Range",
  "Referer",
  "Sec-Fetch-Dest",
  "Sec-Fetch-Mode",
  "Sec-Fetch-Site",
  "Server",
  "Set-Cookie",
  "Transfer-Encoding",
  "Upgrade-Insecure-Requests",
  "User-Agent",
  "Vary",
  "X-Request-Id"
]

/** Looks up the role of a field by its name as it is written; `undefined` where that is no name. */
export const reader = (roles: Roles) => {
  const known = new Map<string, Role>()
  for (const name of [...usual, ...roles.keys()]) {
    const role = roles.get(name.toLowerCase()) ?? "pass"
    known.set(name, role).set(name.toLowerCase(), role)
  }
  return (name: string): Role | undefined =>
    known.get(name) ?? (token.test(name) ? (roles.get(name.toLowerCase()) ?? "pass") : undefined)
}

/** Bytes that no head may have: controls other than tabs, and ends of lines that are not CR LF (RFC 9112, section 2.2). */
export const illegal = /[^\t\r\n -~\x80-\xff]|\r(?!\n)|[^\r]\n|^\n/

const isBlank = (code: number) => code === 32 || code === 9

/** The text between two places without the blanks at its ends. */
export const trimmed = (text: string, from: number, to: number) => {
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

/** Each field of lines that have been looked through, with its name in lower case, and its line with its end. */
export const each = (lines: string, field: (name: string, value: string, line: string) => void) => {
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf("\r\n", at)
    const colon = lines.indexOf(":", at)
    field(lines.slice(at, colon).toLowerCase(), trimmed(lines, colon + 1, end), lines.slice(at, end + 2))
    at = end + 2
  }
}

/** The value of a field, joined by commas where it is there several times (RFC 9110, section 5.3). */
export const find = (lines: string, wanted: string) => {
  let found: string | undefined
  each(lines, (name, value) => {
    if (name === wanted) found = found === undefined ? value : `${found}, ${value}`
  })
  return found
}

/** The lines without those of some names. */
export const without = (lines: string, names: ReadonlyArray<string>) => {
  if (names.length === 0) return lines
  let kept = ""
  each(lines, (name, _, line) => {
    if (!names.includes(name)) kept += line
  })
  return kept
}
