import { ByteSize, Predicate } from "effect"
import { FindMyWay, type HttpMethod } from "effect/http"
import { HttpApi, type HttpApiEndpoint, type HttpApiGroup } from "effect/http-api"

/** What an API serves, by path: which methods, and which content types each of them takes. */
export interface Routes {
  /** The methods of a path, `HEAD` with each `GET`; empty where nothing is served. */
  readonly methods: (url: string) => ReadonlyArray<string>
  /**
   * Whether the path is one without parameters that does not serve this method. The router would go on to a path with
   * parameters, and take `/api/files/upload` for the file `upload`.
   */
  readonly refuses: (method: string, url: string) => boolean
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

const pathOf = (url: string) => url.split(/[?#]/, 1)[0] ?? url

/** Makes the table of an API's endpoints and of `pages`, paths that answer `GET` beside them. */
export const make = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  pages: ReadonlyArray<`/${string}`>
): Routes => {
  const table = FindMyWay.make<HttpApiEndpoint.PayloadMap>()
  const fixed = new Map<string, Set<string>>()
  const add = (method: HttpMethod.HttpMethod, path: string, payload: HttpApiEndpoint.PayloadMap) => {
    table.on(method, path as FindMyWay.PathInput, payload)
    if (!/[:*]/.test(path)) fixed.set(path, (fixed.get(path) ?? new Set()).add(method))
  }
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => add(endpoint.method, endpoint.path, endpoint.payload)
  })
  for (const page of pages) add("GET", page, new Map())
  return {
    methods: (url) => {
      const own = fixed.get(pathOf(url))
      const serves = (verb: string) => (own === undefined ? table.find(verb, url) !== undefined : own.has(verb))
      return verbs.filter(serves).flatMap((verb) => (verb === "GET" ? ["GET", "HEAD"] : [verb]))
    },
    refuses: (method, url) => fixed.get(pathOf(url))?.has(method === "HEAD" ? "GET" : method) === false,
    accepts: (method, url) => [...(table.find(method, url)?.handler.keys() ?? [])],
    maxBytes: (method, url, contentType) => {
      const payload = table.find(method, url)?.handler
      return payload === undefined ? undefined : maxBytes(payload, contentType)
    }
  }
}
