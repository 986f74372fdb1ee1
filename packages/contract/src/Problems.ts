import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"

/** What a request id is made of. */
export const requestIdPattern = /^[A-Za-z0-9._~:/+=-]{1,128}$/

/**
 * The id that ties a response, its log lines and its records together: the caller's `X-Request-Id` where that is valid
 * (1 to 128 of `A-Z a-z 0-9 . _ ~ : / + = -`), otherwise a UUIDv7 made by the first OpsBuddy process that saw the request.
 */
export const RequestId = Schema.String.check(
  Schema.isPattern(requestIdPattern, { expected: "1 to 128 of A-Z a-z 0-9 . _ ~ : / + = -" })
).pipe(Schema.brand("RequestId"))
export type RequestId = typeof RequestId.Type

/** Every problem type is this prefix and a kebab-case name; the name is the cause, in logs and records too. */
export const problemPrefix = "urn:opsbuddy:problem:"

/** What every problem carries beside the members of RFC 9457; the server fills it in as the answer leaves. */
export const problemMembers = { requestId: Schema.optionalKey(RequestId) }

/** One thing wrong with a request. `path` starts with `params`, `query`, `headers` or `payload`. */
export const Issue = Schema.Struct({
  path: Schema.Array(Schema.Union([Schema.String, Schema.Int])),
  message: Schema.String
})
export type Issue = typeof Issue.Type

export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()(
  "InvalidRequest",
  { type: `${problemPrefix}invalid-request`, status: 400, title: "The request is not valid" },
  { ...problemMembers, errors: Schema.Array(Issue) }
) {}

export class NoRoute extends HttpApiError.Problem<NoRoute>()(
  "NoRoute",
  { type: `${problemPrefix}no-route`, status: 404, title: "Nothing is served at this path" },
  problemMembers
) {}

/** `allow` lists the methods that the path does serve, as the `Allow` header does. */
export class MethodNotAllowed extends HttpApiError.Problem<MethodNotAllowed>()(
  "MethodNotAllowed",
  { type: `${problemPrefix}method-not-allowed`, status: 405, title: "The path does not serve this method" },
  { ...problemMembers, allow: Schema.Array(Schema.String) }
) {}

/** `accepts` lists the content types that the endpoint takes. */
export class UnsupportedMediaType extends HttpApiError.Problem<UnsupportedMediaType>()(
  "UnsupportedMediaType",
  { type: `${problemPrefix}unsupported-media-type`, status: 415, title: "The content type is not supported here" },
  { ...problemMembers, accepts: Schema.Array(Schema.String) }
) {}

/** The body is compressed in a way that the endpoint does not read; `acceptEncoding` lists what it does, as the header does. */
export class UnsupportedContentEncoding extends HttpApiError.Problem<UnsupportedContentEncoding>()(
  "UnsupportedContentEncoding",
  {
    type: `${problemPrefix}unsupported-content-encoding`,
    status: 415,
    title: "The content encoding is not supported here"
  },
  { ...problemMembers, acceptEncoding: Schema.Array(Schema.String) }
) {}

/** `limit` is in bytes. */
export class BodyTooLarge extends HttpApiError.Problem<BodyTooLarge>()(
  "BodyTooLarge",
  { type: `${problemPrefix}body-too-large`, status: 413, title: "The request body is too large" },
  { ...problemMembers, limit: Schema.optionalKey(Schema.Int) }
) {}

/** `limit` is in bytes, of path and query. */
export class UriTooLong extends HttpApiError.Problem<UriTooLong>()(
  "UriTooLong",
  { type: `${problemPrefix}uri-too-long`, status: 414, title: "The path and query are too long" },
  { ...problemMembers, limit: Schema.Int }
) {}

/** What every endpoint that takes a body may answer before it looks into the body. */
export const bodyProblems = [BodyTooLarge, UnsupportedMediaType, UnsupportedContentEncoding] as const

/** The client stopped sending, or sent a body that its own framing contradicts. */
export class IncompleteBody extends HttpApiError.Problem<IncompleteBody>()(
  "IncompleteBody",
  { type: `${problemPrefix}incomplete-body`, status: 400, title: "The request body did not arrive whole" },
  problemMembers
) {}

/** A bug of ours. The cause is in the log under the same request id, never in the answer. */
export class InternalError extends HttpApiError.Problem<InternalError>()(
  "InternalError",
  { type: `${problemPrefix}internal-error`, status: 500, title: "The service failed" },
  problemMembers
) {}

/** The service is starting or shutting down. */
export class NotReady extends HttpApiError.Problem<NotReady>()(
  "NotReady",
  { type: `${problemPrefix}not-ready`, status: 503, title: "The service is not ready" },
  problemMembers
) {}

/**
 * The service's own store cannot be used now; `detail` says why. `applied` is `no` where nothing of the request was stored, and
 * `unknown` where the store failed while it committed and could not find out.
 */
export class StoreUnavailable extends HttpApiError.Problem<StoreUnavailable>()(
  "StoreUnavailable",
  { type: `${problemPrefix}store-unavailable`, status: 503, title: "The store cannot be used at the moment" },
  { ...problemMembers, applied: Schema.Literals(["no", "unknown"]), retryAfter: Schema.optionalKey(Schema.Int) }
) {}

/** The disk that the service keeps its data on is full; nothing of the request was stored. Reading and deleting still work. */
export class InsufficientStorage extends HttpApiError.Problem<InsufficientStorage>()(
  "InsufficientStorage",
  { type: `${problemPrefix}insufficient-storage`, status: 507, title: "The disk is full" },
  problemMembers
) {}

/** What every endpoint may fail with that reads or writes the service's own store. */
export const storeProblems = [StoreUnavailable, InsufficientStorage] as const
export type StoreProblem = StoreUnavailable | InsufficientStorage

/**
 * A condition of the request (`If-Match`, `If-None-Match`, `If-Unmodified-Since`; RFC 9110, section 13) does not hold, so
 * nothing was changed. `etag` is the present one, absent where there is nothing at the path.
 */
export class PreconditionFailed extends HttpApiError.Problem<PreconditionFailed>()(
  "PreconditionFailed",
  { type: `${problemPrefix}precondition-failed`, status: 412, title: "The resource is not as the request expects it" },
  { ...problemMembers, etag: Schema.optionalKey(Schema.String) }
) {}
