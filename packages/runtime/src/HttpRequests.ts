import { ByteSize, Clock, Effect, Metric } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse, HttpTraceContext } from "effect/http"
import { withProblems } from "./HttpProblems.ts"
import { RequestContext, requestIdFrom, requestIdHeader } from "./RequestContext.ts"
import * as RequestText from "./RequestText.ts"
import type { Routes } from "./Routes.ts"

const requests = Metric.counter("http_server_requests_total", {
  description: "requests answered, by method and status class",
  incremental: true
})
const durations = Metric.histogram("http_server_request_duration_seconds", {
  description: "time from the request's head to the answer's",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
})

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** Counters of this process, for `/status`. */
export interface Counters {
  requests: number
  clientErrors: number
  serverErrors: number
  inFlight: number
}

export const makeCounters = (): Counters => ({ requests: 0, clientErrors: 0, serverErrors: 0, inFlight: 0 })

const traceOf = (request: HttpServerRequest.HttpServerRequest) => {
  const span = HttpTraceContext.fromHeaders(request.headers)
  return span._tag === "Some" ? { traceId: span.value.traceId, spanId: span.value.spanId } : undefined
}

/**
 * The most of a body that is taken into memory as a whole, as JSON, text and forms are; a layer of an app may provide a
 * smaller `MaxBodySize` to its handlers. What is read as a stream has the limits of its endpoint alone.
 */
export const maxBodyInMemory = ByteSize.mebibytes(32)

/** The parts of a multipart body are read as streams, though effect would hold them to the same limit. */
const isMultipart = (contentType: string | undefined) => contentType?.toLowerCase().startsWith("multipart/") === true

/** Gives every request its id, problem bodies, counters, a histogram and, at debug level, a line in the log. */
export const layer = (routes: Routes, counters: Counters) => {
  const problems = withProblems(routes)
  return HttpRouter.middleware(
    Effect.fnUntraced(function* (handler) {
      const request = yield* HttpServerRequest.HttpServerRequest
      const requestId = requestIdFrom(request.headers[requestIdHeader])
      const started = yield* Clock.monotonicTimeNanos
      counters.inFlight++
      return yield* problems(handler, request, requestId).pipe(
        Effect.tap((response) => record(request, response, started, counters)),
        Effect.map(HttpServerResponse.setHeader(requestIdHeader, requestId)),
        Effect.ensuring(Effect.sync(() => counters.inFlight--)),
        Effect.provideService(HttpServerRequest.HttpServerRequest, RequestText.strict(request)),
        Effect.provideService(RequestContext, { requestId, trace: traceOf(request) }),
        Effect.provideService(
          HttpIncomingMessage.MaxBodySize,
          isMultipart(request.headers["content-type"]) ? undefined : maxBodyInMemory
        )
      )
    }),
    { global: true }
  )
}

const record = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  response: HttpServerResponse.HttpServerResponse,
  started: bigint,
  counters: Counters
) {
  const seconds = Number((yield* Clock.monotonicTimeNanos) - started) / 1e9
  counters.requests++
  if (response.status >= 500) counters.serverErrors++
  else if (response.status >= 400) counters.clientErrors++
  const method = methods.has(request.method) ? request.method : "other"
  yield* Metric.update(Metric.withAttributes(requests, { method, status: `${Math.floor(response.status / 100)}xx` }), 1)
  yield* Metric.update(durations, seconds)
  yield* Effect.logDebug("request answered", {
    method: request.method,
    url: request.url,
    status: response.status,
    durationMillis: seconds * 1000
  })
})
