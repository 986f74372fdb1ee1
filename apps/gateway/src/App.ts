import { Api, GatewayServiceApi } from "@opsbuddy/contract/Api"
import * as App from "@opsbuddy/runtime/App"
import * as Docs from "@opsbuddy/runtime/Docs"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import * as Routes from "@opsbuddy/runtime/Routes"
import { ServerFront } from "@opsbuddy/runtime/Server"
import { Effect, Layer, Ref } from "effect"
import { Forward } from "./Forward.ts"
import * as ForwardNode from "./ForwardNode.ts"
import * as ForwardWeb from "./ForwardWeb.ts"
import { GatewayHandlers } from "./GatewayHandlers.ts"
import * as HealthChecks from "./HealthChecks.ts"
import { RecordSender } from "./RecordSender.ts"
import { builtIn, type Route } from "./RouteTable.ts"
import { variables } from "./Settings.ts"
import { defaults, type UpstreamConfig } from "./Upstream.ts"
import { Upstreams } from "./Upstreams.ts"

const probe = Layer.effect(
  HealthProbe,
  Effect.gen(function* () {
    const upstreams = yield* Upstreams
    const records = yield* RecordSender
    return HealthProbe.of({
      database: Effect.succeed("none"),
      services: upstreams.health,
      upstreams: upstreams.status,
      counters: Effect.sync(records.counters)
    })
  })
)

/** Bodies are handed over in the form that the runtime has them in. */
const front = Layer.effectDiscard(
  Effect.gen(function* () {
    const front = yield* ServerFront
    yield* typeof Bun === "undefined"
      ? Effect.flatMap(ForwardNode.make, (node) => Ref.set(front, { node, web: () => undefined }))
      : Effect.flatMap(ForwardWeb.make, (web) => Ref.set(front, { web, node: () => false }))
  })
)

/** The paths that the gateway serves itself. */
const own = Routes.make(GatewayServiceApi, ["/docs", "/openapi.json"])

/** The gateway over any upstreams and routes; records go to analytics at `analyticsUrl`. */
export const layer = (options: {
  readonly upstreams: ReadonlyArray<UpstreamConfig>
  readonly routes: ReadonlyArray<Route>
  readonly analyticsUrl: string
}) =>
  Layer.mergeAll(GatewayHandlers, probe, front, HealthChecks.layer).pipe(
    Layer.provide(Forward.layer(options.routes, (path) => own.methods(path).length > 0)),
    Layer.provide([Upstreams.layer(options.upstreams), RecordSender.layer(options.analyticsUrl)])
  )

export const app = App.make({
  name: "gateway",
  api: GatewayServiceApi,
  docs: Docs.layer(Api),
  variables,
  layer: (settings) =>
    layer({
      upstreams: [
        { ...defaults, name: "files", targets: settings.filesUrls },
        { ...defaults, name: "utility", targets: settings.utilityUrls },
        { ...defaults, name: "analytics", targets: settings.analyticsUrls },
        { ...defaults, name: "timeseries", targets: settings.timeseriesUrls }
      ],
      routes: builtIn,
      analyticsUrl: settings.analyticsUrls[0]
    })
})
