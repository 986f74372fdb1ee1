import { GatewayServiceApi } from "@opsbuddy/contract/Api"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Upstreams } from "./Upstreams.ts"

export const GatewayHandlers = HttpApiBuilder.group(
  GatewayServiceApi,
  "gateway",
  Effect.fnUntraced(function* (handlers) {
    const upstreams = yield* Upstreams
    return handlers.handleAll({ upstreams: () => Effect.map(upstreams.status, (items) => ({ items })) })
  })
)
