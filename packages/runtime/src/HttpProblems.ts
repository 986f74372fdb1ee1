import {
  BodyTooLarge,
  IncompleteBody,
  InternalError,
  InvalidRequest,
  MethodNotAllowed,
  NoRoute,
  UnsupportedMediaType
} from "@opsbuddy/contract/Problems"
import { Cause, Effect, Predicate } from "effect"
import { HttpServerError, type HttpServerRequest, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { HttpApiError } from "effect/http-api"
import * as RequestChecks from "./RequestChecks.ts"
import { invalidRequest } from "./RequestDecoding.ts"
import type { Routes } from "./Routes.ts"

const problemType = "application/problem+json"

const pathOf = (url: string) => {
  const end = url.search(/[?#]/)
  return end === -1 ? url : url.slice(0, end)
}

const isProblem = ({ body }: HttpServerResponse.HttpServerResponse) =>
  body._tag === "Uint8Array" && body.contentType === problemType

/** What is not a problem's own: the members that every problem has. */
const shared = new Set(["type", "title", "status", "detail", "instance", "requestId"])

/** The detail of a problem that was made without one: its title, and its own members, such as `(id 01a2…)`. */
const describe = (problem: Readonly<Record<string, unknown>>) => {
  const own = Object.entries(problem).filter(([key, value]) => !shared.has(key) && typeof value !== "object")
  const members = own.map(([key, value]) => `${key} ${value}`).join(", ")
  return members === "" ? String(problem.title) : `${problem.title} (${members})`
}

/** Fills in what only the server knows, and repeats `retryAfter`, `allow`, `acceptEncoding` and, of a 416, `size` as headers. */
const complete = (
  response: HttpServerResponse.HttpServerResponse,
  request: HttpServerRequest.HttpServerRequest,
  requestId: string
) => {
  const body = response.body
  if (body._tag !== "Uint8Array") return response
  const problem: unknown = JSON.parse(new TextDecoder().decode(body.body))
  if (!Predicate.isObject(problem)) return response
  const members = problem as Readonly<Record<string, unknown>>
  const { acceptEncoding, retryAfter, allow, size } = members
  const headers: Record<string, string> = {}
  if (typeof retryAfter === "number") headers["retry-after"] = String(retryAfter)
  if (Array.isArray(acceptEncoding)) headers["accept-encoding"] = acceptEncoding.join(", ")
  if (Array.isArray(allow)) headers.allow = allow.join(", ")
  if (response.status === 416) headers["content-range"] = `bytes */${size}`
  return HttpServerResponse.jsonUnsafe(
    { detail: describe(members), instance: pathOf(request.url), ...members, requestId },
    {
      status: response.status,
      contentType: problemType,
      headers
    }
  )
}

const notFound = (routes: Routes, request: HttpServerRequest.HttpServerRequest) => {
  const path = pathOf(request.url)
  const allow = routes.methods(path)
  return allow.length === 0
    ? new NoRoute({ detail: `nothing is served at ${path}` })
    : new MethodNotAllowed({ detail: `${path} serves ${allow.join(", ")}, not ${request.method}`, allow })
}

const unsupported = (routes: Routes, request: HttpServerRequest.HttpServerRequest) => {
  const accepts = [...(routes.find(request.method, pathOf(request.url))?.endpoint.payload.keys() ?? [])]
  const sent = request.headers["content-type"]
  return new UnsupportedMediaType({
    detail: `${sent === undefined ? "no content type" : sent} was sent; the endpoint takes ${accepts.join(", ")}`,
    accepts
  })
}

/** Without its parameters and in lower case. */
export const contentTypeOf = (request: HttpServerRequest.HttpServerRequest) =>
  request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase()

/** Answers that effect gives without a body of ours, by status. */
const bare = (routes: Routes, request: HttpServerRequest.HttpServerRequest, status: number) => {
  if (status === 415) return unsupported(routes, request)
  if (status === 413) return tooLarge(routes.maxBytes(request.method, pathOf(request.url), contentTypeOf(request)))
  if (status === 404) return notFound(routes, request)
  return undefined
}

/** effect tells the limit that was passed in a member on Node, and only in words on Bun. */
const limitOf = (cause: unknown) => {
  if (Predicate.hasProperty(cause, "maxBytes") && typeof cause.maxBytes === "number") return cause.maxBytes
  const words = cause instanceof Error ? /exceeds (\d+) bytes/.exec(cause.message) : null
  return words === null ? undefined : Number(words[1])
}

const tooLarge = (limit: number | undefined) =>
  limit === undefined
    ? new BodyTooLarge({})
    : new BodyTooLarge({ detail: `the body has more than ${limit} bytes`, limit })

/** What an effect that did not answer means to the caller. `undefined`: a defect, to be logged. */
const ofFailure = (error: unknown, routes: Routes, request: HttpServerRequest.HttpServerRequest) => {
  if (HttpApiError.HttpApiSchemaError.is(error)) return invalidRequest(error)
  if (HttpApiError.HttpApiPayloadTooLarge.is(error)) {
    return new BodyTooLarge({ detail: error.message, limit: Number(error.size) })
  }
  if (!HttpServerError.isHttpServerError(error)) return undefined
  if (error.reason._tag === "RouteNotFound") return notFound(routes, request)
  if (error.reason._tag !== "RequestParseError") return undefined
  const { cause, message, reason } = error.reason
  if (cause instanceof InvalidRequest) return cause
  return reason === "BodyTooLarge" ? tooLarge(limitOf(cause)) : new IncompleteBody({ detail: message })
}

/**
 * Makes every answer of 400 and above a problem with `instance` and `requestId`. A defect is logged here with its cause,
 * and tells the caller no more than its request id.
 */
export const withProblems =
  (routes: Routes) =>
  <E, R>(
    handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
    request: HttpServerRequest.HttpServerRequest,
    requestId: string
  ) => {
    const respond = (problem: unknown) =>
      Effect.map(
        HttpServerRespondable.toResponseOrElse(problem, HttpServerResponse.empty({ status: 500 })),
        (response) => complete(response, request, requestId)
      )
    const onCause = (cause: Cause.Cause<E>) => {
      const error = Cause.squash(cause)
      const known = ofFailure(error, routes, request)
      if (known !== undefined) return respond(known)
      if (HttpServerRespondable.isRespondable(error) && !Cause.hasDies(cause)) return respond(error)
      return Effect.andThen(
        Effect.logError("request failed", { method: request.method, path: pathOf(request.url) }, cause),
        respond(new InternalError({}))
      )
    }
    if (routes.refuses(request.method, request.url)) return respond(notFound(routes, request))
    const refused = RequestChecks.problemOf(routes, request)
    if (refused !== undefined) return respond(refused)
    return handler.pipe(
      Effect.flatMap((response) => {
        if (response.status < 400) return Effect.succeed(response)
        if (isProblem(response)) return Effect.succeed(complete(response, request, requestId))
        const problem = bare(routes, request, response.status)
        return problem === undefined ? Effect.succeed(response) : respond(problem)
      }),
      Effect.catchCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : onCause(cause)))
    )
  }
