import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import type { ServiceName } from "@opsbuddy/contract/Wire"
import { Effect, type FileSystem, Layer, type Path, Ref } from "effect"
import { Etag, FetchHttpClient, type HttpClient, HttpPlatform, HttpRouter } from "effect/http"
import { type HttpApi, HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import * as Health from "./Health.ts"
import * as HttpRequests from "./HttpRequests.ts"
import * as Identity from "./Identity.ts"
import * as RequestDecoding from "./RequestDecoding.ts"
import * as Routes from "./Routes.ts"
import * as SelfMetrics from "./SelfMetrics.ts"
import * as Server from "./Server.ts"
import type { common } from "./Settings.ts"
import { StoreHealth } from "./StoreHealth.ts"
import type { Values, Variables } from "./Variables.ts"

/** The version that `/health` tells. */
export const version = "0.1.0"

/** What every app may use while it is built. */
export type Platform =
  | Etag.Generator
  | FileSystem.FileSystem
  | HttpClient.HttpClient
  | HttpPlatform.HttpPlatform
  | Path.Path
  | Health.Readiness
  | Server.ServerFront
  | StoreHealth

export const layerPlatform: Layer.Layer<Platform> = HttpPlatform.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      Etag.layerWeak,
      NodeFileSystem.layer,
      NodePath.layer,
      FetchHttpClient.layer,
      Health.Readiness.layer,
      Layer.succeed(HttpRouter.RouterConfig)(Routes.config),
      Server.ServerFront.layer,
      StoreHealth.layer
    )
  )
)

/** The settings of an app: the common ones and its own. */
export type Settings<V extends Variables> = Values<ReturnType<typeof common>> & Values<V>

/** What an app's layer gives: the handlers of its own groups, and the probe behind `/health` and `/status`. */
export type Parts<Id extends string, Groups extends HttpApiGroup.Constraint> =
  | Exclude<HttpApiGroup.ToService<Id, Groups>, HttpApiGroup.Service<Id, "service">>
  | Health.HealthProbe

/** An app as data: its name, what it serves, what it reads from the environment, and how it is built from that. */
export interface App<Id extends string, Groups extends HttpApiGroup.Constraint, V extends Variables, E> {
  readonly name: ServiceName
  readonly api: HttpApi.HttpApi<Id, Groups>
  /** `/docs` and `/openapi.json`: `Docs.layer` of the API that they show. */
  readonly docs: Layer.Layer<never, never, HttpRouter.HttpRouter>
  readonly variables: V
  /** See `Server.ServerOptions`. */
  readonly streamsLengths?: boolean
  /** Everything in it is built before the server listens, and a failure there ends the start with its cause. */
  readonly layer: (settings: Settings<V>) => Layer.Layer<Parts<Id, Groups>, E, Platform | Provided>
}

/** The middlewares that the runtime provides to handlers. */
export type Provided = Layer.Success<typeof middlewares>

const middlewares = Layer.mergeAll(Identity.layerLocal, RequestDecoding.layer)

/** Keeps the types of an app's parts. */
export const make = <const Id extends string, Groups extends HttpApiGroup.Constraint, const V extends Variables, E>(
  app: App<Id, Groups, V, E>
) => app

/** Requests in flight may take this long to end after a signal, in milliseconds. */
const drainMillis = 7000

/** All routes of an app, over the parts that `app.layer` builds; for a server, or for a test without one. */
export const routes = <Id extends string, Groups extends HttpApiGroup.Constraint, V extends Variables, E>(
  app: App<Id, Groups, V, E>,
  settings: Settings<V>,
  counters = HttpRequests.makeCounters()
): Layer.Layer<never, E, HttpRouter.HttpRouter | Platform> => {
  const table = Routes.make(app.api, ["/docs", "/openapi.json"])
  const handlers = Health.handlers({ name: app.name, version, counters }).pipe(Layer.provideMerge(app.layer(settings)))
  const all = Layer.mergeAll(HttpApiBuilder.layer(app.api), app.docs, HttpRequests.layer(table, counters)).pipe(
    Layer.provide(handlers),
    Layer.provide(middlewares)
  )
  // TypeScript cannot tell that the app's parts and the group `service`, whose key is the same in every API, are all that
  // the API needs, because the app's groups are a type parameter here.
  return all as Layer.Layer<never, E, HttpRouter.HttpRouter | Platform>
}

/** Builds the app, listens, and stays until it is interrupted; then drains, and closes the stores. */
export const run = Effect.fnUntraced(function* <
  Id extends string,
  Groups extends HttpApiGroup.Constraint,
  V extends Variables,
  E
>(app: App<Id, Groups, V, E>, settings: Settings<V>) {
  const readiness = yield* Health.Readiness
  const counters = HttpRequests.makeCounters()
  const http = yield* HttpRouter.toHttpEffect(routes(app, settings, counters))
  const { streamsLengths = false } = app
  const port = yield* Server.serve(http, { host: settings.host, port: settings.port, drainMillis, streamsLengths })
  yield* Effect.addFinalizer(() =>
    Effect.andThen(Ref.set(readiness, false), Effect.logInfo("draining", { drainMillis }))
  )
  yield* Ref.set(readiness, true)
  yield* SelfMetrics.start(app.name, counters, settings.timeseriesUrls[0])
  yield* Effect.logInfo("listening", { url: `http://${settings.host}:${port}`, pid: process.pid })
  return yield* Effect.never
}, Effect.scoped)
