import { isIPv4, isIPv6 } from "node:net"
import { ByteSize, Duration, Option, Schema, SchemaTransformation } from "effect"
import type { KeySource } from "../GatewayConfig.ts"

/** Text of this form, and, where a form cannot say it all, what is wrong with it then. */
const text = (pattern: RegExp, expected: string, wrong: (text: string) => string | undefined = () => undefined) =>
  Schema.String.check(
    Schema.makeFilter((value: string) => wrong(value) ?? (pattern.test(value) ? undefined : `must be ${expected}`), {
      expected,
      toJsonSchema: () => ({ pattern: pattern.source })
    })
  )

const timeUnits = new Map([
  ["ms", Duration.millis(1)],
  ["s", Duration.seconds(1)],
  ["m", Duration.minutes(1)],
  ["h", Duration.hours(1)],
  ["d", Duration.days(1)]
])

/** Nothing for an unknown unit, which the form does not let through. */
const durationOf = (count: string, unit: string) =>
  Duration.times(timeUnits.get(unit) ?? Duration.zero, Number.parseInt(count, 10))

const timeOf = (value: string) => durationOf(value, value.replace(/^\d+/, ""))

/** Timers of JavaScript count to 2^31 milliseconds, which are 24.8 days. */
const longest = Duration.days(24)

export const Time = text(/^[1-9]\d{0,9}(ms|s|m|h|d)$/u, "a time such as 500ms, 5s, 10m, 1h or 7d", (value) =>
  Duration.isGreaterThan(timeOf(value), longest) ? "must be at most 24d" : undefined
).pipe(
  Schema.decodeTo(
    Schema.Duration,
    SchemaTransformation.transform({
      decode: timeOf,
      encode: (duration) => `${Duration.toMillis(duration)}ms`
    })
  )
)

const bytesOf = (size: string) => Option.flatMap(ByteSize.fromString(size), ByteSize.toNumber)

/** Decodes to bytes. */
export const Size = text(
  /^(0|[1-9]\d{0,14}) ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$/u,
  "a size such as 500kB, 10MiB or 1GiB",
  (value) =>
    /^\d+ ?[kMGTiB]+$/.test(value) && Option.isNone(bytesOf(value)) ? "is too large or has no such unit" : undefined
).pipe(
  Schema.decodeTo(
    Schema.Number,
    SchemaTransformation.transform({
      decode: (value) => Option.getOrElse(bytesOf(value), () => Number.NaN),
      encode: (bytes) => `${bytes}B`
    })
  )
)

/** Decodes to how many, and for how long. */
export const Rate = text(/^[1-9]\d{0,8}\/(s|m|h)$/u, "a rate such as 100/s, 100/m or 100/h").pipe(
  Schema.decodeTo(
    Schema.Struct({ rate: Schema.Number, per: Schema.Duration }),
    SchemaTransformation.transform({
      decode: (value) => ({ rate: Number.parseInt(value, 10), per: durationOf("1", value.replace(/^\d+\//, "")) }),
      encode: ({ per, rate }) =>
        `${rate}/${[...timeUnits].find(([, duration]) => Duration.equals(duration, per))?.[0] ?? "s"}`
    })
  )
)

const headerName = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}"

export const HeaderName = text(new RegExp(`^${headerName}$`, "u"), "the name of a header")

/** Printable ASCII without spaces at its ends: everything that every server takes. */
export const HeaderValue = text(/^[!-~]([ -~]{0,4000}[!-~])?$/u, "text of printable ASCII without spaces at its ends")

const keyOf = (value: string): KeySource => {
  if (value === "client") return { _tag: "Client" }
  if (value === "subject") return { _tag: "Subject" }
  return { _tag: "Header", name: value.slice("header:".length).toLowerCase() }
}

const KeySources = Schema.Union([
  Schema.TaggedStruct("Client", {}),
  Schema.TaggedStruct("Header", { name: Schema.String }),
  Schema.TaggedStruct("Subject", {})
])

const keySource = (words: ReadonlyArray<"client" | "subject">) =>
  text(new RegExp(`^(${words.join("|")}|header:${headerName})$`, "u"), `${words.join(", ")} or header:NAME`).pipe(
    Schema.decodeTo(
      KeySources,
      SchemaTransformation.transform<KeySource, string>({
        decode: keyOf,
        encode: (key) => (key._tag === "Header" ? `header:${key.name}` : key._tag.toLowerCase())
      })
    )
  )

/** What a hash may go by, and what a rate may be limited by. */
export const HashKey = keySource(["client"])
export const LimitKey = keySource(["client", "subject"])

/** Stands in logs, metrics and paths. */
export const UpstreamName = text(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/u,
  "a name: letters, digits, dots, _ and -, at most 63"
)

export const RouteName = text(/^[!-~]([ -~]{0,198}[!-~])?$/u, "a name of printable ASCII, at most 200 characters")

const targetFault = (url: string) => {
  const [, scheme, rest] = /^([a-z]+):\/\/(.*)$/s.exec(url) ?? []
  if (scheme === undefined || rest === undefined || !["http", "https", "dns"].includes(scheme)) {
    return "must be http://host:port, https://host:port or dns://name:port"
  }
  if (/@/.test(rest)) return "must not hold a user or password: set the header authorization on the route"
  if (/[/?#]./s.test(rest)) return "must not have a path: routes change paths with replacePrefix"
  if (scheme === "dns" && !/:\d+\/?$/.test(rest)) return "must name a port: dns://name:port"
  return URL.canParse(scheme === "dns" ? `http://${rest}` : url) ? undefined : "is not a valid URL"
}

/** Decodes to the URL without a slash at its end. */
export const TargetUrl = text(
  /^(https?:\/\/[!$-.0->A-[\]-~]+|dns:\/\/[A-Za-z0-9._-]+:\d{1,5})\/?$/u,
  "http://host:port, https://host:port or dns://name:port",
  targetFault
).pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transform({ decode: (url) => url.replace(/\/$/, ""), encode: (url) => url })
  )
)

const pathFault = (path: string) => {
  if (!path.startsWith("/")) return "must start with /"
  if (path.includes("*")) return "must not hold *: a path covers all below it"
  if (/[?#]/.test(path)) return "must not have a query"
  if (/\/$/.test(path) && path !== "/") return "must not end in /: a path covers all below it"
  // Servers disagree on what these mean, and the gateway refuses requests that have them.
  if (/\/\/|\\|%2e|%2f|%5c|\/\.\.?(\/|$)/i.test(path))
    return "must not hold //, dot segments, backslashes or encoded slashes"
  return undefined
}

export const RoutePath = text(
  /^\/$|^(\/[A-Za-z0-9._~!$&'()+,;=:@%-]+)+$/u,
  "a path as in a URL, other characters encoded",
  pathFault
)

const label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

export const Host = text(
  new RegExp(`^((\\*\\.)?${label}(\\.${label})*|\\[[0-9A-Fa-f:.]+\\])$`, "u"),
  "a host without a port, such as shop.example.com or *.example.com"
)

export const Method = text(/^[A-Z][A-Z-]{0,19}$/u, "a method in capital letters")

export const RedirectTo = text(
  /^(https?:\/\/[!-~]+|\/|\/[!-.0-~][!-~]*)$/u,
  "a URL, or a path, with other characters encoded",
  (to) => (/^https?:/.test(to) && !URL.canParse(to) ? "is not a valid URL" : undefined)
)

const block = "a block of addresses such as 10.0.0.0/8 or fd00::/8"

export const Cidr = text(/^[0-9A-Fa-f:.]+\/\d{1,3}$/u, block, (cidr) => {
  const [address = "", bits = ""] = cidr.split("/")
  const size = isIPv4(address) ? 32 : isIPv6(address) ? 128 : undefined
  if (size === undefined) return `must be ${block}`
  if (bits === "") return `must say how many bits count: ${address}/${size} is this one address`
  return Number(bits) > size ? `must have at most ${size} bits` : undefined
})

export const CorsOrigin = text(
  /^(\*|https?:\/\/[^\s/?#@*]+)$/u,
  "an origin such as https://app.example.com, without a path, or *"
)

export const RedisUrl = text(/^rediss?:\/\/\S+$/u, "redis://host:port or rediss://host:port", (url) =>
  /^rediss?:/.test(url) && !URL.canParse(url) ? "is not a valid URL" : undefined
)
