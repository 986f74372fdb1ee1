import { TimeseriesServiceApi } from "@opsbuddy/contract/Api"
import type { StoreProblem } from "@opsbuddy/contract/Problems"
import type { Measurements } from "@opsbuddy/contract/Timeseries"
import { Effect, type Scope } from "effect"
import type { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Result } from "./QueryResponse.ts"
import * as QueryResponse from "./QueryResponse.ts"
import { Timeseries } from "./Timeseries.ts"

export const TimeseriesHandlers = HttpApiBuilder.group(
  TimeseriesServiceApi,
  "timeseries",
  Effect.fnUntraced(function* (handlers) {
    const timeseries = yield* Timeseries
    return handlers.handleAll({
      write: ({ payload, query }) => timeseries.write(payload, query.precision),
      query: ({ payload }) => Effect.flatMap(timeseries.query(payload), QueryResponse.make),
      explore: ({ query }) => Effect.flatMap(timeseries.explore(query), explored)
    })
  })
)

const explored = (result: Result | typeof Measurements.Type): Effect.Effect<Explored, StoreProblem, Scope.Scope> =>
  "parts" in result ? QueryResponse.make(result) : Effect.succeed(result)

type Explored = HttpServerResponse.HttpServerResponse | typeof Measurements.Type
