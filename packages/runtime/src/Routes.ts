import { ByteSize, Predicate } from "effect"
import { FindMyWay } from "effect/http"
import { HttpApi, type HttpApiEndpoint, type HttpApiGroup } from "effect/http-api"

/** What an API serves, by path: which methods, and which content types each of them takes. */
export interface Routes {
  /** The methods of a path, `HEAD` with each `GET`; empty where nothing is served. */
  readonly methods: (url: string) => ReadonlyArray<string>
  /** The content types that an endpoint takes; empty where it takes no body. */
  readonly accepts: (method: string, url: string) => ReadonlyArray<string>
  /** How many bytes an endpoint reads of a body that it takes as a stream, where it has a bound. */
  readonly maxBytes: (method: string, url: string, contentType: string | undefined) => number | undefined
}

const maxBytes = (payload: HttpApiEndpoint.PayloadMap, contentType: string | undefined) => {
  const schema = contentType === undefined ? undefined : payload.get(contentType)?.schemas[0]
  // Schemas of streams have it, and effect does not export what tells them from others.
  return Predicate.hasProperty(schema, "maxBytes") && ByteSize.isByteSize(schema.maxBytes)
    ? Number(schema.maxBytes)
    : undefined
}

const verbs = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

/** Makes the table of an API's endpoints and of `pages`, paths that answer `GET` beside them. */
export const make = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  pages: ReadonlyArray<`/${string}`>
): Routes => {
  const table = FindMyWay.make<HttpApiEndpoint.PayloadMap>()
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => table.on(endpoint.method, endpoint.path as FindMyWay.PathInput, endpoint.payload)
  })
  for (const page of pages) table.on("GET", page, new Map())
  return {
    methods: (url) =>
      verbs.flatMap((verb) => (table.find(verb, url) !== undefined ? (verb === "GET" ? ["GET", "HEAD"] : [verb]) : [])),
    accepts: (method, url) => [...(table.find(method, url)?.handler.keys() ?? [])],
    maxBytes: (method, url, contentType) => {
      const payload = table.find(method, url)?.handler
      return payload === undefined ? undefined : maxBytes(payload, contentType)
    }
  }
}
