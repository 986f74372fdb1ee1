import { RequestDecoding } from "@opsbuddy/contract/Identity"
import { InternalError, InvalidRequest, type Issue } from "@opsbuddy/contract/Problems"
import { Effect, SchemaAST, SchemaIssue } from "effect"
import { type HttpApiEndpoint, type HttpApiError, HttpApiMiddleware } from "effect/http-api"

const unexpected = "Expected no excess property"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const segment = (part: PropertyKey | { readonly key: PropertyKey }) => {
  const key = typeof part === "object" ? part.key : part
  return typeof key === "number" ? key : String(key)
}

/** The names of an endpoint's query parameters; none where it takes any. */
const parametersOf = ({ query }: HttpApiEndpoint.Top) => {
  if (query === undefined) return []
  const ast = SchemaAST.toEncoded(query.ast)
  return SchemaAST.isObjects(ast) ? ast.propertySignatures.map(({ name }) => String(name)) : []
}

const issues = (error: HttpApiError.HttpApiSchemaError, endpoint?: HttpApiEndpoint.Top): ReadonlyArray<Issue> =>
  format(error.cause.issue)
    .issues.slice(0, 100)
    .map(({ message, path = [] }) => {
      const at = path.map(segment)
      const isUnknown = error.kind === "Query" && message === unexpected && endpoint !== undefined
      return {
        path: [error.kind.toLowerCase(), ...at],
        message: isUnknown ? unknownParameter(at.join("."), parametersOf(endpoint)) : message
      }
    })

/** Why a query parameter is refused that the endpoint does not know. */
export const unknownParameter = (name: string, known: ReadonlyArray<string>) =>
  `unknown parameter \`${name}\`; ${known.length === 0 ? "this endpoint takes no parameters" : `known parameters: ${known.join(", ")}`}`

const sentence = (issue: Issue | undefined) => (issue === undefined ? "" : `${issue.path.join(".")}: ${issue.message}`)

/** The problem for a request that does not decode: all that is wrong, the first 100 of it. */
export const invalidRequest = (error: HttpApiError.HttpApiSchemaError, endpoint?: HttpApiEndpoint.Top) => {
  const errors = issues(error, endpoint)
  return new InvalidRequest({ detail: sentence(errors[0]), errors })
}

/** A request that does not decode is the caller's mistake; an answer that does not encode is ours, and is logged. */
export const layer = HttpApiMiddleware.layerSchemaErrorTransform(RequestDecoding, (error, { endpoint }) =>
  error.kind === "Body" || error.kind === "ResponseHeaders"
    ? Effect.andThen(
        Effect.logError("answer does not encode", { kind: error.kind, reason: error.cause.message }),
        Effect.fail(new InternalError({}))
      )
    : Effect.fail(invalidRequest(error, endpoint))
)
