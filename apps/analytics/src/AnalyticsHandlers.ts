import { AnalyticsServiceApi } from "@opsbuddy/contract/Api"
import { Effect, Stream } from "effect"
import type { HttpServerRequest } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Analytics } from "./Analytics.ts"
import * as LogLines from "./LogLines.ts"
import * as RequestRecords from "./RequestRecords.ts"

export const AnalyticsHandlers = HttpApiBuilder.group(
  AnalyticsServiceApi,
  "analytics",
  Effect.fnUntraced(function* (handlers) {
    const analytics = yield* Analytics
    // Read by hand: there is a record for every request that the gateway answers.
    const withRequests = handlers.handleRaw("writeRequests", ({ request }) =>
      Effect.matchEffect(RequestRecords.read(request), {
        onFailure: Effect.succeed,
        onSuccess: analytics.writeRequests
      })
    )
    return withRequests.handleAll({
      writeLogs: ({ payload, request }) =>
        Stream.isStream(payload)
          ? Effect.flatMap(LogLines.read(bodyOf(request)), analytics.writeLogs)
          : analytics.writeLogs(payload),
      listLogs: ({ query }) => analytics.listLogs(query),
      request: ({ params }) => analytics.request(params.id),
      metrics: ({ query }) => analytics.metrics(query)
    })
  })
)

/** A body that breaks off is a defect, as it is where effect reads the body, and the runtime tells the client. */
const bodyOf = (request: HttpServerRequest.HttpServerRequest) => {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers
  // On Bun a request without a body has no stream.
  return Number(length ?? 0) > 0 || encoding !== undefined ? Stream.orDie(request.stream) : Stream.empty
}
