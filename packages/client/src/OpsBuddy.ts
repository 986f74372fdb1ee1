import { Api } from "@opsbuddy/contract/Api"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"

/** Where OpsBuddy is, and what goes with each request. */
export interface Options {
  /** The gateway, or one service for the calls of its domain: `http://localhost:8000`. */
  readonly baseUrl: string | URL
  /** Sent with every request, for example `x-request-id`. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * The typed client: a function for each endpoint of the contract, such as `client.files.stat({ params: { id } })`. Answers
 * are decoded, and problems are typed failures. Needs an `HttpClient`, which `FetchHttpClient.layer` of effect gives in
 * browsers, on Bun and on Node. It does not retry: the gateway does, and attempts would multiply.
 */
export const make = (options: Options) =>
  HttpApiClient.make(Api, {
    baseUrl: options.baseUrl,
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(options.headers ?? {}))
  })

/** The client as a type, for functions that take one. */
export type OpsBuddy = HttpApiClient.ForApi<typeof Api>
