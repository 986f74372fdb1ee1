import { FindMyWay } from "effect/http"
import { HttpApi, type HttpApiGroup } from "effect/http-api"

/** What an API serves, by path: which methods, and which content types each of them takes. */
export interface Routes {
  /** The methods of a path, `HEAD` with each `GET`; empty where nothing is served. */
  readonly methods: (url: string) => ReadonlyArray<string>
  /** The content types that an endpoint takes; empty where it takes no body. */
  readonly accepts: (method: string, url: string) => ReadonlyArray<string>
}

const verbs = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

/** Makes the table of an API's endpoints and of `pages`, paths that answer `GET` beside them. */
export const make = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  pages: ReadonlyArray<`/${string}`>
): Routes => {
  const table = FindMyWay.make<ReadonlyArray<string>>()
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) =>
      table.on(endpoint.method, endpoint.path as FindMyWay.PathInput, [...endpoint.payload.keys()])
  })
  for (const page of pages) table.on("GET", page, [])
  return {
    methods: (url) =>
      verbs.flatMap((verb) => (table.find(verb, url) !== undefined ? (verb === "GET" ? ["GET", "HEAD"] : [verb]) : [])),
    accepts: (method, url) => table.find(method, url)?.handler ?? []
  }
}
