import { AnalyticsServiceApi } from "@opsbuddy/contract/Api"
import { contentTypeOf } from "@opsbuddy/runtime/HttpProblems"
import { Effect } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Analytics } from "./Analytics.ts"
import * as Body from "./Body.ts"
import * as LogBatch from "./LogBatch.ts"
import * as RequestRecords from "./RequestRecords.ts"
import * as Responses from "./Responses.ts"

export const AnalyticsHandlers = HttpApiBuilder.group(
  AnalyticsServiceApi,
  "analytics",
  Effect.fnUntraced(function* (handlers) {
    const analytics = yield* Analytics
    return (
      handlers
        .handleAll({
          listLogs: ({ query }) => Effect.map(analytics.listLogs(query), Responses.ofPage),
          request: ({ params }) => Effect.map(analytics.request(params.id), Responses.ofStory),
          metrics: ({ query }) => Effect.map(analytics.metrics(query), Responses.ofMetrics)
        })
        // Read by hand: large bodies are read a slice at a time, and `data` is kept as it was sent.
        .handleRaw("writeLogs", ({ request }) => {
          const read = readerOf(request)
          return read === undefined
            ? Effect.succeed(HttpServerResponse.empty({ status: 415 }))
            : Effect.flatMap(read(Body.of(request)), analytics.writeLogs)
        })
        // Read by hand: there is a record for every request that the gateway answers.
        .handleRaw("writeRequests", ({ request }) =>
          RequestRecords.isJson(request)
            ? Effect.flatMap(RequestRecords.read(request), analytics.writeRequests)
            : Effect.succeed(HttpServerResponse.empty({ status: 415 }))
        )
    )
  })
)

const readerOf = (request: HttpServerRequest.HttpServerRequest) => {
  switch (contentTypeOf(request)) {
    case undefined:
    case "application/json":
      return LogBatch.readArray
    case "application/x-ndjson":
    case "application/jsonl":
      return LogBatch.readLines
    default:
      return undefined
  }
}
