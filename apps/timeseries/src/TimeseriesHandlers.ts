import { TimeseriesServiceApi } from "@opsbuddy/contract/Api"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Timeseries } from "./Timeseries.ts"

export const TimeseriesHandlers = HttpApiBuilder.group(
  TimeseriesServiceApi,
  "timeseries",
  Effect.fnUntraced(function* (handlers) {
    const timeseries = yield* Timeseries
    return handlers.handleAll({
      write: ({ payload, query }) => timeseries.write(payload, query.precision),
      query: ({ payload }) => timeseries.query(payload),
      explore: ({ query }) => timeseries.explore(query)
    })
  })
)
