import { Schema, Struct } from "effect"
import * as Formats from "./Formats.ts"

/** The same settings, none of which is required. */
const written = <Fields extends Schema.Struct.Fields>(filled: Schema.Struct<Fields>) =>
  filled.mapFields(Struct.map(Schema.optionalKey))

const count = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const share = (minimum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum: 1 }))

/** A list with at least one item. */
const some = <Item extends Schema.Constraint>(item: Item) =>
  Schema.Array(item).check(Schema.isMinLength(1, { expected: "a list with at least one item" }))

const says = (description: string) => ({ description })

/** The same for what is written in another form than it is decoded to. */
const meaning = <S extends Schema.Top>(description: string) => Schema.annotateEncoded<S>({ description })

const off = Schema.Literal("off")

const Target = Schema.Struct({
  url: Formats.TargetUrl.pipe(meaning("http://host:port, or dns://name:port for every address of the name")),
  weight: count(1, 1000).annotate(says("Its share of the requests, beside the other weights"))
})

const WrittenTarget = Schema.Union([
  Formats.TargetUrl,
  Schema.Struct({ ...Target.fields, weight: Schema.optionalKey(Target.fields.weight) })
])

const Hash = Schema.Struct({ hash: Schema.Struct({ by: Formats.HashKey }) })

const Balance = Schema.Union([Schema.Literals(["round-robin", "least-requests", "weighted"]), Hash])

const WrittenBalance = Schema.Union([Schema.Literals(["round-robin", "least-requests", "weighted", "hash"]), Hash])

const Timeouts = Schema.Struct({
  attempt: Formats.Time.pipe(meaning("From an attempt's start to its answer's head; requests without a body")),
  upload: Formats.Time.pipe(meaning("The same for requests with a body")),
  idle: Formats.Time.pipe(meaning("Between two pieces of an answer's body")),
  total: Formats.Time.pipe(meaning("To the answer's head, over all attempts; requests without a body"))
})

const Backoff = Schema.Struct({
  base: Formats.Time.pipe(meaning("The longest wait before the first retry; it doubles with each further one")),
  max: Formats.Time.pipe(meaning("The longest wait before any retry"))
})

const retry = {
  attempts: count(1, 10).annotate(says("In all, with the first; 1 is without retries")),
  budget: share(0).annotate(says("Retries per request, over all requests"))
}

const Retry = Schema.Struct({ ...retry, backoff: Backoff })

const WrittenRetry = written(Schema.Struct({ ...retry, backoff: written(Backoff) }))

const FailureRate = Schema.Struct({
  threshold: share(0.01).annotate(says("The share of failures that opens it, from 0.01 to 1")),
  minimumCalls: count(1, 100_000).annotate(says("With fewer calls the share does not count")),
  calls: count(1, 100_000).annotate(says("The share is that of so many last calls"))
})

const circuit = {
  consecutiveFailures: Schema.optionalKey(
    count(1, 10_000).annotate(says("Failures in a row that open it; off where only failureRate is given"))
  ),
  slowCall: Schema.optionalKey(Formats.Time.pipe(meaning("A call that takes longer counts as a failure"))),
  openFor: Formats.Time.pipe(meaning("How long calls are refused before one is let through as a probe")),
  probeTimeout: Formats.Time.pipe(meaning("A probe that takes longer lets another call be the probe"))
}

const Circuit = Schema.Struct({ ...circuit, failureRate: Schema.optionalKey(FailureRate) })

const WrittenCircuit = written(Schema.Struct({ ...circuit, failureRate: written(FailureRate) }))

const Outliers = Schema.Struct({
  consecutiveFailures: count(1, 10_000).annotate(says("Failures in a row of one target that take it out")),
  ejectFor: Formats.Time.pipe(meaning("How long, the first time; each further time it is longer")),
  maxEjectFor: Formats.Time.pipe(meaning("How long at most")),
  maxEjected: share(0).annotate(says("The share of the targets that may be out at once"))
})

const Health = Schema.Struct({
  path: Formats.RoutePath.annotate(says("Asked with GET; healthy is an answer of 200 to 299")),
  every: Formats.Time,
  timeout: Formats.Time,
  healthyAfter: count(1, 100).annotate(says("Passes in a row that make a target healthy")),
  unhealthyAfter: count(1, 100).annotate(says("Fails in a row that make a target unhealthy"))
})

const Concurrency = Schema.Struct({
  max: count(1, 1_000_000).annotate(says("Requests to the upstream at once")),
  queue: count(0, 1_000_000).annotate(says("Requests that wait meanwhile; 0 is none")),
  wait: Formats.Time.pipe(meaning("The longest wait"))
})

/** An upstream with every value that it has. */
export const Upstream = Schema.Struct({
  targets: some(Target),
  balance: Balance,
  timeouts: Timeouts,
  retry: Retry,
  circuit: Circuit,
  outliers: Outliers,
  health: Schema.Union([off, Health]),
  concurrency: Concurrency
})

const disabled = Schema.Boolean.annotate(says("true: it is not there, though it is written here or built in"))

/** An upstream as it is written. */
export const WrittenUpstream = written(
  Schema.Struct({
    targets: some(WrittenTarget).annotate(says("Where the upstream is: URLs, or mappings with url and weight")),
    balance: WrittenBalance.annotate(says("How a target is chosen")),
    timeouts: written(Timeouts),
    retry: WrittenRetry,
    circuit: WrittenCircuit.annotate(says("When the circuit breaker opens")),
    outliers: written(Outliers).annotate(says("When a failing target is taken out for a while")),
    health: Schema.Union([off, written(Health)]).annotate(says("Active health checks, or off")),
    concurrency: written(Concurrency),
    disabled
  })
).annotate({ identifier: "Upstream" })

const Redirect = Schema.Struct({
  to: Formats.RedirectTo.annotate(says("A URL or a path; the request's path and query are not added")),
  status: Schema.Literals([301, 302, 303, 307, 308])
})

const WrittenRedirect = Schema.Struct({ ...Redirect.fields, status: Schema.optionalKey(Redirect.fields.status) })

const HeaderChanges = Schema.Struct({
  set: Schema.Record(Formats.HeaderName, Formats.HeaderValue),
  remove: Schema.Array(Formats.HeaderName)
})

const limit = {
  rate: Formats.Rate.pipe(meaning("How many for each key, such as 100/s, 100/m or 100/h")),
  burst: count(1, 1_000_000_000).annotate(says("How many at once; as many as the rate says where it is absent")),
  by: Formats.LimitKey.pipe(meaning("What is counted apart: client, subject or header:NAME"))
}

const Limit = Schema.Struct(limit)

const WrittenLimit = Schema.Struct({
  rate: limit.rate,
  burst: Schema.optionalKey(limit.burst),
  by: Schema.optionalKey(limit.by)
})

const Cors = Schema.Struct({
  origins: some(Formats.CorsOrigin),
  methods: some(Formats.Method),
  headers: Schema.Array(Formats.HeaderName).annotate(says("Request headers that pages may send")),
  exposedHeaders: Schema.Array(Formats.HeaderName).annotate(says("Answer headers that pages may read")),
  credentials: Schema.Boolean,
  maxAge: Formats.Time.pipe(meaning("How long browsers keep the answer to a preflight request"))
})

const { origins, ...corsOptions } = Cors.fields

const WrittenCors = Schema.Struct({ origins, ...written(Schema.Struct(corsOptions)).fields })

const route = {
  host: Formats.Host.annotate(says("Exact, or *.example.com")),
  methods: some(Formats.Method).annotate(says("All where it is absent; HEAD is served where GET is")),
  headers: Schema.Record(Formats.HeaderName, Formats.HeaderValue).annotate(
    says("Headers that must be there with exactly this value; * is any value")
  ),
  upstream: Formats.UpstreamName,
  stripPrefix: Schema.Boolean.annotate(says("true: the upstream gets the path without the route's")),
  replacePrefix: Formats.RoutePath.annotate(says("What the upstream gets in place of the route's path")),
  maxBody: Formats.Size.pipe(meaning("Requests with a larger body are refused")),
  securityHeaders: Schema.Boolean.annotate(
    says("Adds X-Content-Type-Options, X-Frame-Options and Referrer-Policy where the upstream has set none")
  )
}

const optionalRoute = {
  methods: Schema.optionalKey(route.methods),
  host: Schema.optionalKey(route.host),
  upstream: Schema.optionalKey(route.upstream),
  stripPrefix: Schema.optionalKey(route.stripPrefix),
  replacePrefix: Schema.optionalKey(route.replacePrefix),
  maxBody: Schema.optionalKey(route.maxBody)
}

/** A route with every value that it has. What is optional here is a feature that the route may be without. */
export const Route = Schema.Struct({
  ...optionalRoute,
  name: Schema.String,
  path: Schema.optionalKey(Formats.RoutePath),
  exact: Schema.optionalKey(Formats.RoutePath),
  headers: route.headers,
  redirect: Schema.optionalKey(Redirect),
  timeouts: written(Timeouts),
  retry: written(Retry),
  requestHeaders: HeaderChanges,
  responseHeaders: HeaderChanges,
  limit: Schema.optionalKey(Limit),
  cors: Schema.optionalKey(Cors),
  securityHeaders: route.securityHeaders
})

/** A route as it is written. */
export const WrittenRoute = written(
  Schema.Struct({
    name: Formats.RouteName.annotate(says("Stands in logs, records and metrics; methods, host and path if absent")),
    host: route.host,
    path: Formats.RoutePath.annotate(says("This path and all below it")),
    exact: Formats.RoutePath.annotate(says("This path alone, in place of path")),
    methods: route.methods,
    headers: route.headers,
    upstream: route.upstream.annotate(says("The name of an upstream")),
    redirect: WrittenRedirect.annotate(says("An answer, in place of an upstream")),
    timeouts: written(Timeouts).annotate(says("What differs from the upstream's")),
    retry: WrittenRetry.annotate(says("What differs from the upstream's")),
    stripPrefix: route.stripPrefix,
    replacePrefix: route.replacePrefix,
    requestHeaders: written(HeaderChanges),
    responseHeaders: written(HeaderChanges),
    limit: WrittenLimit,
    maxBody: route.maxBody,
    cors: WrittenCors.annotate(says("Access for pages of other origins; closed where it is absent")),
    securityHeaders: route.securityHeaders,
    disabled
  })
).annotate({ identifier: "Route" })

const RateLimits = Schema.Struct({
  redis: Schema.optionalKey(
    Formats.RedisUrl.annotate(
      says("Counts for several gateways together; this gateway counts alone where it is absent")
    )
  ),
  whenGone: Schema.Literals(["local", "allow", "refuse"]).annotate(
    says("While Redis does not answer: this gateway's own count, no limit, or a refusal")
  )
})

export type Upstream = typeof Upstream.Type
export type Route = typeof Route.Type

/** What is neither an upstream nor a route, with every value. */
export const Rest = Schema.Struct({ trustedProxies: Schema.Array(Formats.Cidr), rateLimits: RateLimits })

/** The file as it is written, without the rules between settings: `UpstreamRules` and `RouteRules`. */
export const ConfigDocument = written(
  Schema.Struct({
    upstreams: Schema.Record(Formats.UpstreamName, WrittenUpstream),
    routes: Schema.Array(WrittenRoute),
    trustedProxies: Rest.fields.trustedProxies.annotate(
      says("Blocks of addresses of proxies whose X-Forwarded-* and Forwarded headers are believed")
    ),
    rateLimits: written(RateLimits)
  })
)

/** The file as plain data; the built-in one is of this form too. */
export type ConfigDocument = typeof ConfigDocument.Encoded
