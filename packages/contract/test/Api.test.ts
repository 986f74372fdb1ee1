import { assert, describe, it } from "@effect/vitest"
import * as Apis from "@opsbuddy/contract/Api"
import { Predicate } from "effect"
import { OpenApi } from "effect/http-api"

/** What every program answers about itself. */
const service = ["GET /health", "GET /metrics", "GET /ready", "GET /status"]

/** Every route of every domain. A route that is added, renamed or removed is so here, too. */
const routes = {
  gateway: [
    "GET /api/gateway/audit",
    "GET /api/gateway/config",
    "GET /api/gateway/events",
    "GET /api/gateway/events/stream",
    "GET /api/gateway/requests",
    "GET /api/gateway/requests/{id}",
    "GET /api/gateway/upstreams",
    "GET /api/gateway/upstreams/{name}",
    "POST /api/gateway/config/reload",
    "POST /api/gateway/upstreams/{name}/drain",
    "POST /api/gateway/upstreams/{name}/force",
    "POST /api/gateway/upstreams/{name}/release",
    "POST /api/gateway/upstreams/{name}/undrain"
  ],
  files: [
    "DELETE /api/files/{id}",
    "GET /api/files",
    "GET /api/files/{id}",
    "GET /api/files/{id}/metadata",
    "PATCH /api/files/{id}/metadata",
    "POST /api/files/upload"
  ],
  utility: [
    "DELETE /api/utils/configs/{key}",
    "GET /api/utils/commands",
    "GET /api/utils/configs",
    "GET /api/utils/configs/{key}",
    "GET /api/utils/system/info",
    "POST /api/utils/commands/{name}/run",
    "PUT /api/utils/configs/{key}"
  ],
  analytics: [
    "GET /api/analytics/logs",
    "GET /api/analytics/metrics",
    "GET /api/analytics/requests/{id}",
    "POST /api/analytics/logs",
    "POST /api/analytics/requests"
  ],
  timeseries: ["GET /api/timeseries/query", "POST /api/timeseries/query", "POST /api/timeseries/write"]
}

const documents = {
  gateway: OpenApi.fromApi(Apis.GatewayServiceApi),
  files: OpenApi.fromApi(Apis.FilesServiceApi),
  utility: OpenApi.fromApi(Apis.UtilityServiceApi),
  analytics: OpenApi.fromApi(Apis.AnalyticsServiceApi),
  timeseries: OpenApi.fromApi(Apis.TimeseriesServiceApi),
  all: OpenApi.fromApi(Apis.Api)
}

interface Operation {
  readonly operationId?: string
  readonly requestBody?: unknown
  readonly responses?: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema: unknown }>> }>>
}

/** Every operation of a document, as `METHOD /path`. */
const operationsOf = (document: OpenApi.OpenAPISpec) =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]): readonly [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      // OpenAPI's own shape, of which effect declares less than it writes.
      operation as Operation
    ])
  )

/** The value at a pointer such as `#/components/schemas/X`. */
const follow = (document: OpenApi.OpenAPISpec, pointer: string) =>
  pointer
    .slice(2)
    .split("/")
    .reduce<unknown>((value, key) => (Predicate.isObject(value) ? Reflect.get(value, key) : undefined), document)

const refsIn = (value: unknown): ReadonlyArray<string> => {
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "$ref" && typeof inner === "string" ? [inner] : refsIn(inner)
  )
}

/** The names of the problems that an operation documents under a status. */
const problemsOf = (document: OpenApi.OpenAPISpec, operation: Operation, status: string) =>
  refsIn(operation.responses?.[status]?.content?.["application/problem+json"]).flatMap((ref) => {
    const type = /"urn:opsbuddy:problem:([a-z-]+)"/.exec(JSON.stringify(follow(document, ref)))
    return type?.[1] === undefined ? [] : [type[1]]
  })

describe("the contract", () => {
  for (const [name, list] of Object.entries(routes)) {
    it(`of ${name} has exactly these routes`, () => {
      const found = operationsOf(Object.entries(documents).find(([of]) => of === name)?.[1] ?? documents.all)
      assert.deepStrictEqual(found.map(([route]) => route).sort(), [...service, ...list].sort())
    })
  }

  it("of all domains together has all of their routes", () => {
    const found = operationsOf(documents.all).map(([route]) => route)
    assert.deepStrictEqual(found.sort(), [...service, ...Object.values(routes).flat()].sort())
  })

  for (const [name, document] of Object.entries(documents)) {
    describe(`the document of ${name}`, () => {
      it("is OpenAPI 3.1, has a title and a version, and points at nothing that is not in it", () => {
        assert.match(document.openapi, /^3\.1\./)
        assert.match(document.info.title, /^OpsBuddy/)
        assert.match(document.info.version, /^\d+\.\d+\.\d+$/)
        const refs = refsIn(document)
        assert.isNotEmpty(refs)
        for (const ref of refs) assert.isDefined(follow(document, ref), ref)
      })

      it("names each operation once", () => {
        const ids = operationsOf(document).map(([, { operationId }]) => operationId)
        assert.notInclude(ids, undefined)
        assert.lengthOf(new Set(ids), ids.length)
      })

      it("shows each answer of 400 and above as problems alone, but for an unhealthy /health", () => {
        for (const [route, operation] of operationsOf(document)) {
          for (const [status, { content = {} }] of Object.entries(operation.responses ?? {})) {
            if (Number(status) < 400 || route === "GET /health") continue
            assert.deepStrictEqual(Object.keys(content), ["application/problem+json"], `${route} ${status}`)
            const schemas = refsIn(content)
            assert.isNotEmpty(schemas, `${route} ${status}`)
            assert.lengthOf(problemsOf(document, operation, status), schemas.length, `${route} ${status}`)
          }
        }
      })

      it("tells for each operation of a domain what it refuses", () => {
        for (const [route, operation] of operationsOf(document)) {
          if (service.includes(route)) continue
          assert.include(problemsOf(document, operation, "400"), "invalid-request", route)
          assert.include(problemsOf(document, operation, "500"), "internal-error", route)
          if (operation.requestBody === undefined || route.includes("/api/gateway/")) continue
          assert.include(problemsOf(document, operation, "413"), "body-too-large", route)
          assert.include(problemsOf(document, operation, "415"), "unsupported-media-type", route)
        }
      })

      it("tells for each operation that names something that there may be no such thing", () => {
        const creates = ["PUT /api/utils/configs/{key}"]
        for (const [route, operation] of operationsOf(document)) {
          if (!route.includes("{") || creates.includes(route)) continue
          assert.match(problemsOf(document, operation, "404").join(), /-not-found/, route)
        }
      })
    })
  }

  it("shows the ETag of a configuration, and what it is for", () => {
    const operations = new Map(operationsOf(documents.utility))
    const at = "/api/utils/configs/{key}"
    const headersOf = (route: string, status: string) =>
      Object.keys(Object(Reflect.get(Object(operations.get(route)?.responses?.[status]), "headers")))
    const parametersOf = (route: string) =>
      (Reflect.get(Object(operations.get(route)), "parameters") as ReadonlyArray<{ readonly name: string }>).map(
        ({ name }) => name
      )
    assert.deepStrictEqual(headersOf(`GET ${at}`, "200"), ["ETag"])
    assert.deepStrictEqual(headersOf(`GET ${at}`, "304"), ["ETag"])
    assert.deepStrictEqual(parametersOf(`GET ${at}`), ["key", "if-none-match"])
    assert.deepStrictEqual(headersOf(`PUT ${at}`, "200"), ["ETag"])
    for (const route of [`PUT ${at}`, `DELETE ${at}`]) {
      assert.deepStrictEqual(parametersOf(route), ["key", "if-match", "if-none-match"])
      assert.include(problemsOf(documents.utility, operations.get(route) ?? {}, "412"), "precondition-failed")
    }
  })
})
