import { InvalidRequest } from "@opsbuddy/contract/Problems"
import { Effect, Result } from "effect"
import { HttpServerError, type HttpServerRequest } from "effect/http"
import * as JsonDepth from "./JsonDepth.ts"
import * as Utf8 from "./Utf8.ts"

const refuse = (request: HttpServerRequest.HttpServerRequest, message: string) =>
  Effect.fail(
    new HttpServerError.HttpServerError({
      reason: new HttpServerError.RequestParseError({
        request,
        cause: new InvalidRequest({ detail: `payload: ${message}`, errors: [{ path: ["payload"], message }] })
      })
    })
  )

/** Whether the body is taken for JSON, which it is without a content type, too. */
export const isJson = ({ headers }: HttpServerRequest.HttpServerRequest) =>
  /^application\/json[ \t]*(?:;|$)/i.test(headers["content-type"] ?? "application/json")

/**
 * The request, with a `text` that fails where the body is no UTF-8, which effect would replace by U+FFFD, or JSON that is nested too
 * deep. A byte order mark in front is no part of the text.
 */
export const strict = (request: HttpServerRequest.HttpServerRequest): HttpServerRequest.HttpServerRequest =>
  Object.create(request, {
    text: {
      get: () =>
        Effect.flatMap(request.arrayBuffer, (buffer) => {
          const text = Utf8.decode(new Uint8Array(buffer))
          if (Result.isFailure(text)) {
            return refuse(request, `Expected UTF-8, got something else at byte ${text.failure}`)
          }
          return isJson(request) && JsonDepth.isTooDeep(text.success)
            ? refuse(request, JsonDepth.message)
            : Effect.succeed(text.success)
        })
    }
  })
