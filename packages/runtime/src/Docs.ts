import { Effect, Scope } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { type HttpApi, type HttpApiGroup, OpenApi } from "effect/http-api"

/**
 * `/docs`, an API page that needs nothing from outside, and `/openapi.json`. The page's 2 MB of script and the document
 * are made with the first visit, so that a process that nobody asks for documentation does not carry them.
 */
export const layer = <Id extends string, Groups extends HttpApiGroup.Constraint>(api: HttpApi.HttpApi<Id, Groups>) =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const scope = yield* Effect.scope
      const page = yield* Effect.promise(() => import("effect/http-api/HttpApiSwagger")).pipe(
        Effect.flatMap((swagger) => HttpRouter.toHttpEffect(swagger.layer(api, { path: "/docs" }))),
        Effect.provideService(Scope.Scope, scope),
        // The page is its router's only route.
        Effect.map(Effect.orDie),
        Effect.cached
      )
      const document = yield* Effect.cached(Effect.sync(() => HttpServerResponse.jsonUnsafe(OpenApi.fromApi(api))))
      yield* router.add("GET", "/docs", Effect.flatten(page))
      yield* router.add("GET", "/openapi.json", document)
    })
  )
