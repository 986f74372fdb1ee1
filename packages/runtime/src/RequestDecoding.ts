import { RequestDecoding } from "@opsbuddy/contract/Identity"
import { InternalError, InvalidRequest, type Issue } from "@opsbuddy/contract/Problems"
import { Effect, SchemaIssue } from "effect"
import { type HttpApiError, HttpApiMiddleware } from "effect/http-api"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const segment = (part: PropertyKey | { readonly key: PropertyKey }) => {
  const key = typeof part === "object" ? part.key : part
  return typeof key === "number" ? key : String(key)
}

const issues = (error: HttpApiError.HttpApiSchemaError): ReadonlyArray<Issue> =>
  format(error.cause.issue)
    .issues.slice(0, 100)
    .map((issue) => ({
      path: [error.kind.toLowerCase(), ...(issue.path ?? []).map(segment)],
      message: issue.message
    }))

const sentence = (issue: Issue | undefined) => (issue === undefined ? "" : `${issue.path.join(".")}: ${issue.message}`)

/** The problem for a request that does not decode: all that is wrong, the first 100 of it. */
export const invalidRequest = (error: HttpApiError.HttpApiSchemaError) => {
  const errors = issues(error)
  return new InvalidRequest({ detail: sentence(errors[0]), errors })
}

/** A request that does not decode is the caller's mistake; an answer that does not encode is ours, and is logged. */
export const layer = HttpApiMiddleware.layerSchemaErrorTransform(RequestDecoding, (error) =>
  error.kind === "Body" || error.kind === "ResponseHeaders"
    ? Effect.andThen(
        Effect.logError("answer does not encode", { kind: error.kind, reason: error.cause.message }),
        Effect.fail(new InternalError({}))
      )
    : Effect.fail(invalidRequest(error))
)
