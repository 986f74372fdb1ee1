import * as Fields from "./Fields.ts"

/** Bytes that are no request that could be answered in any other way, with the status that says so. */
export class Malformed {
  readonly status: 400 | 408 | 431 | 505
  readonly reason: string
  constructor(reason: string, status: Malformed["status"] = 400) {
    this.reason = reason
    this.status = status
  }
}

/** How long a message's body is: so many bytes, or in chunks; without a body 0. */
export type Length = number | "chunked"

/** The head of a request (RFC 9112, section 3). Repeated fields are joined by commas. */
export interface RequestHead {
  readonly method: string
  /** Path and query; `*` and an authority stay as they are. */
  readonly url: string
  /** HTTP/1.0 or HTTP/1.1. */
  readonly minor: 0 | 1
  readonly host: string
  /** Why it can be read in more than one way, if it can. */
  readonly ambiguity: string | undefined
  readonly length: Length
  readonly connection: string | undefined
  readonly upgrade: string | undefined
  readonly expect: string | undefined
  /** `undefined` also where there are several. */
  readonly requestId: string | undefined
  readonly traceparent: string | undefined
  /** All lines, and those that pass on, each with its end. */
  readonly lines: string
  readonly passed: string
}

/** What ends at the gateway, or is set by it. */
const roleOf = Fields.reader(
  new Map<string, Fields.Role>([
    ["host", "host"],
    ["content-length", "content-length"],
    ["transfer-encoding", "transfer-encoding"],
    ["connection", "connection"],
    ["upgrade", "upgrade"],
    ["expect", "expect"],
    ["x-request-id", "x-request-id"],
    ["traceparent", "traceparent"],
    ...[
      "keep-alive",
      "proxy-authenticate",
      "proxy-authorization",
      "proxy-connection",
      "te",
      "trailer",
      "x-forwarded-for",
      "x-forwarded-proto",
      "x-forwarded-host",
      "forwarded",
      "via",
      "x-request-timeout-ms"
    ].map((name) => [name, "drop"] as const)
  ])
)

const methodToken = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const visible = /^[\x21-\x7e]+$/
const absolute = /^https?:\/\/([^/?#]*)/i
/** A name or an address, and a port (RFC 3986, section 3.2.2; no user). */
const hostPattern = /^(?:[\w.~!$&'()*+;=%-]*|\[[0-9a-f:.]+\])(?::\d*)?$/i

const usualMethods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** More digits than any length has, and fewer than a number keeps exactly. */
const digits = /^\d{1,15}$/

/** Reads a head that is whole, without the empty line at its end. */
export const parse = (text: string): RequestHead | Malformed => {
  if (Fields.illegal.test(text))
    return new Malformed("the head has a control character, or a line that does not end in CR LF")
  const lineEnd = text.indexOf("\r\n")
  const line = lineEnd === -1 ? text : text.slice(0, lineEnd)
  const lines = lineEnd === -1 ? "" : `${text.slice(lineEnd + 2)}\r\n`
  const first = line.indexOf(" ")
  const second = line.indexOf(" ", first + 1)
  if (first <= 0 || second === -1) return new Malformed("the request line is not a method, a target and a version")
  const method = line.slice(0, first)
  const target = line.slice(first + 1, second)
  const version = line.slice(second + 1)
  if (!usualMethods.has(method) && !methodToken.test(method)) return new Malformed("the method is not a token")
  if (!visible.test(target)) return new Malformed("the target has characters that must be encoded")
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") {
    return /^HTTP\/\d\.\d$/.test(version)
      ? new Malformed(`the version ${version} is not served here, HTTP/1.1 is`, 505)
      : new Malformed("the request line does not end in a version")
  }
  return fieldsOf(method, target, version === "HTTP/1.1" ? 1 : 0, lines)
}

const fieldsOf = (method: string, target: string, minor: 0 | 1, lines: string): RequestHead | Malformed => {
  let host: string | undefined
  let ambiguity: string | undefined
  let length: string | undefined
  let coding: string | undefined
  let connection: string | undefined
  let upgrade: string | undefined
  let expect: string | undefined
  let requestId: string | undefined
  let requestIds = 0
  let traceparent: string | undefined
  let passed = ""
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf("\r\n", at)
    const colon = lines.indexOf(":", at)
    const role = colon === -1 || colon > end ? undefined : roleOf(lines.slice(at, colon))
    if (role === undefined) return new Malformed("a line of the head does not begin with a name and a colon")
    if (role === "pass") passed += lines.slice(at, end + 2)
    else if (role !== "drop") {
      const value = Fields.trimmed(lines, colon + 1, end)
      switch (role) {
        case "host":
          if (host !== undefined || value.includes(",")) ambiguity = "the request has several Host headers"
          host ??= value
          break
        case "content-length":
          if (length !== undefined) return new Malformed("there are several Content-Length headers")
          length = value
          break
        case "transfer-encoding":
          if (coding !== undefined) return new Malformed("there are several Transfer-Encoding headers")
          coding = value
          break
        case "connection":
          connection = connection === undefined ? value : `${connection}, ${value}`
          break
        case "upgrade":
          upgrade = upgrade === undefined ? value : `${upgrade}, ${value}`
          break
        case "expect":
          expect = value
          break
        case "x-request-id":
          requestId = value
          requestIds++
          break
        default:
          traceparent = value
          passed += lines.slice(at, end + 2)
      }
    }
    at = end + 2
  }
  if (length !== undefined && !digits.test(length)) return new Malformed("the Content-Length is not a number of bytes")
  if (length !== undefined && coding !== undefined) {
    return new Malformed("there are both Content-Length and Transfer-Encoding")
  }
  if (coding !== undefined && (minor === 0 || coding.toLowerCase() !== "chunked")) {
    return new Malformed("the Transfer-Encoding is not chunked, in HTTP/1.1")
  }
  let url = target
  if (!target.startsWith("/")) {
    const authority = absolute.exec(target)
    if (authority !== null) {
      // What the target says counts, whatever `Host` says (RFC 9112, section 3.2.2).
      if (host !== undefined) host = authority[1] ?? ""
      url = target.slice(authority[0].length)
      if (!url.startsWith("/")) url = `/${url}`
    } else if (method !== "CONNECT" && target !== "*") return new Malformed("the target is no path")
  }
  if (host === undefined && minor === 1) return new Malformed("there is no Host header")
  if (host !== undefined && ambiguity === undefined && !hostPattern.test(host)) ambiguity = "the host is no host"
  return {
    method,
    url,
    minor,
    host: host ?? "",
    ambiguity,
    length: coding === undefined ? Number(length ?? 0) : "chunked",
    connection,
    upgrade,
    expect,
    requestId: requestIds === 1 ? requestId : undefined,
    traceparent,
    lines,
    passed
  }
}
