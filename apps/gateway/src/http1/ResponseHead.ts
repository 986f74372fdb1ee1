import * as Fields from "./Fields.ts"
import type { Length } from "./RequestHead.ts"

/** The head of an upstream's answer (RFC 9112, section 4). */
export interface ResponseHead {
  readonly status: number
  /** What the status line says after the status. */
  readonly reason: string
  /** Without a length the body goes on until the connection ends. */
  readonly length: Length | undefined
  readonly connection: string | undefined
  readonly upgrade: string | undefined
  /** The connection can take another request afterwards. */
  readonly keepsAlive: boolean
  /** The server's own limit for that, in milliseconds, if it tells one. */
  readonly keepAliveMillis: number | undefined
  readonly contentType: string | undefined
  readonly retryAfter: string | undefined
  /** The lines that pass on, each with its end. */
  readonly passed: string
}

const roleOf = Fields.reader(
  new Map<string, Fields.Role>([
    ["content-length", "content-length"],
    ["transfer-encoding", "transfer-encoding"],
    ["connection", "connection"],
    ["keep-alive", "keep-alive"],
    ["content-type", "content-type"],
    ["retry-after", "retry-after"],
    ["upgrade", "upgrade"],
    ...["proxy-authenticate", "proxy-connection", "te", "trailer", "x-request-id"].map(
      (name) => [name, "drop"] as const
    )
  ])
)

const statusLine = /^HTTP\/1\.([01]) (\d{3})(?: (.*))?$/

/** Statuses whose answers have no body, whatever their head says (RFC 9112, section 6.3). */
export const isBodiless = (status: number) => status < 200 || status === 204 || status === 304

/** Reads a head that is whole, without the empty line at its end; a text says what is wrong with it. */
export const parse = (text: string): ResponseHead | string => {
  if (Fields.illegal.test(text)) return "the head has a control character, or a line that does not end in CR LF"
  const lineEnd = text.indexOf("\r\n")
  const start = statusLine.exec(lineEnd === -1 ? text : text.slice(0, lineEnd))
  if (start === null) return "the answer does not begin with a version and a status"
  const lines = lineEnd === -1 ? "" : `${text.slice(lineEnd + 2)}\r\n`
  const status = Number(start[2])
  let length: string | undefined
  let coding: string | undefined
  let connection: string | undefined
  let upgrade: string | undefined
  let keepAlive: string | undefined
  let contentType: string | undefined
  let retryAfter: string | undefined
  let passed = ""
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf("\r\n", at)
    const colon = lines.indexOf(":", at)
    const role = colon === -1 || colon > end ? undefined : roleOf(lines.slice(at, colon))
    if (role === undefined) return "a line of the head does not begin with a name and a colon"
    if (role === "pass") passed += lines.slice(at, end + 2)
    else if (role !== "drop") {
      const value = Fields.trimmed(lines, colon + 1, end)
      switch (role) {
        case "content-length":
          if (length !== undefined && length !== value) return "there are several Content-Length headers that differ"
          length = value
          break
        case "transfer-encoding":
          if (coding !== undefined) return "there are several Transfer-Encoding headers"
          coding = value
          break
        case "connection":
          connection = connection === undefined ? value : `${connection}, ${value}`
          break
        case "upgrade":
          upgrade = value
          break
        case "keep-alive":
          keepAlive = value
          break
        case "content-type":
          contentType = value
          passed += lines.slice(at, end + 2)
          break
        default:
          retryAfter = value
          passed += lines.slice(at, end + 2)
      }
    }
    at = end + 2
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return "the Content-Length is not a number of bytes"
  if (length !== undefined && coding !== undefined) return "there are both Content-Length and Transfer-Encoding"
  if (coding !== undefined && coding.toLowerCase() !== "chunked") return "the Transfer-Encoding is not chunked"
  const seconds = keepAlive === undefined ? undefined : /timeout=(\d{1,6})/.exec(keepAlive)?.[1]
  return {
    status,
    reason: start[3] ?? "",
    length: coding !== undefined ? "chunked" : length === undefined ? undefined : Number(length),
    connection,
    upgrade,
    keepsAlive: start[1] === "1" && !/\bclose\b/i.test(connection ?? ""),
    keepAliveMillis: seconds === undefined ? undefined : Number(seconds) * 1000,
    contentType,
    retryAfter,
    passed
  }
}
