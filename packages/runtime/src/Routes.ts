import { AnyQuery, ContentEncodings } from "@opsbuddy/contract/Wire"
import { ByteSize, Context, Predicate } from "effect"
import { FindMyWay, type HttpMethod } from "effect/http"
import { HttpApi, type HttpApiEndpoint, type HttpApiGroup } from "effect/http-api"

/**
 * Routers give up on a path parameter of more than 100 characters and answer that nothing is served there. How long it may be is the
 * contract's to say, and how long a URL the server's.
 */
export const config: Partial<FindMyWay.RouterConfig> = { maxParamLength: 65_536 }

/** An endpoint, as far as requests can be judged without it. */
export interface Endpoint {
  readonly payload: HttpApiEndpoint.PayloadMap
  /** Whether it takes query parameters, of which its schema knows the names; `any` where it ignores what it does not know. */
  readonly query: "none" | "some" | "any"
  readonly contentEncodings: ReadonlyArray<string>
}

/** What an API serves, by path: which methods, and which content types each of them takes. */
export interface Routes {
  /** The methods of a path, `HEAD` with each `GET`; empty where nothing is served. */
  readonly methods: (url: string) => ReadonlyArray<string>
  /**
   * Whether the path is one without parameters that does not serve this method. The router would go on to a path with
   * parameters, and take `/api/files/upload` for the file `upload`.
   */
  readonly refuses: (method: string, url: string) => boolean
  /** The endpoint that the router finds, and its path parameters. `HEAD` is served where `GET` is. */
  readonly find: (
    method: string,
    url: string
  ) => { readonly endpoint: Endpoint; readonly params: Readonly<Record<string, string | undefined>> } | undefined
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

const page: Endpoint = { payload: new Map(), query: "any", contentEncodings: [] }

const pathOf = (url: string) => url.split(/[?#]/, 1)[0] ?? url

const withoutHead = (method: string) => (method === "HEAD" ? "GET" : method)

/** Makes the table of an API's endpoints and of `pages`, paths that answer `GET` beside them. */
export const make = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  pages: ReadonlyArray<`/${string}`>
): Routes => {
  const table = FindMyWay.make<Endpoint>(config)
  const fixed = new Map<string, Set<string>>()
  const add = (method: HttpMethod.HttpMethod, path: string, endpoint: Endpoint) => {
    table.on(method, path as FindMyWay.PathInput, endpoint)
    if (!/[:*]/.test(path)) fixed.set(path, (fixed.get(path) ?? new Set()).add(method))
  }
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, mergedAnnotations }) =>
      add(endpoint.method, endpoint.path, {
        payload: endpoint.payload,
        query: Context.get(mergedAnnotations, AnyQuery) ? "any" : endpoint.query === undefined ? "none" : "some",
        contentEncodings: Context.get(mergedAnnotations, ContentEncodings)
      })
  })
  for (const path of pages) add("GET", path, page)
  const find: Routes["find"] = (method, url) => {
    const found = table.find(withoutHead(method), url)
    return found === undefined ? undefined : { endpoint: found.handler, params: found.params }
  }
  return {
    methods: (url) => {
      const own = fixed.get(pathOf(url))
      const serves = (verb: string) => (own === undefined ? table.find(verb, url) !== undefined : own.has(verb))
      return verbs.filter(serves).flatMap((verb) => (verb === "GET" ? ["GET", "HEAD"] : [verb]))
    },
    refuses: (method, url) => fixed.get(pathOf(url))?.has(withoutHead(method)) === false,
    find,
    maxBytes: (method, url, contentType) => {
      const found = find(method, url)
      return found === undefined ? undefined : maxBytes(found.endpoint.payload, contentType)
    }
  }
}
