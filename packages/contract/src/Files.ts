import { Schema, SchemaTransformation } from "effect"
import { Multipart } from "effect/http"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { conditionalHeaders, documentEtag } from "./Conditional.ts"
import { Authentication, RequestDecoding } from "./Identity.ts"
import {
  bodyProblems,
  IncompleteBody,
  PreconditionFailed,
  problemMembers,
  problemPrefix,
  storeProblems
} from "./Problems.ts"
import { page, paging, strictRequests, Timestamp } from "./Wire.ts"

/** A UUIDv7, so ids sort by the time of upload. */
export const FileId = Schema.String.check(Schema.isUUID(7)).pipe(Schema.brand("FileId"))
export type FileId = typeof FileId.Type

/** Hexadecimal digits of a UUID may be upper-case in a request (RFC 9562, section 4); ids are kept and given in lower case. */
const AnyCase = Schema.String.pipe(Schema.decode(SchemaTransformation.toLowerCase()))
const FileIdInPath = AnyCase.pipe(Schema.decodeTo(FileId))

/**
 * 1 to 255 characters without control characters, lone surrogates and slashes, and neither `.` nor `..`: the last
 * segment of what the client named the file.
 */
export const FileName = Schema.String.check(
  Schema.isPattern(/^(?!\.{1,2}$)[^\p{Cc}\p{Cs}/\\]{1,255}$/u, {
    expected: "1 to 255 characters, no slashes, no control characters"
  })
)

/** At most 64 tags; a key has 1 to 64 of `A-Z a-z 0-9 . _ -`, a value at most 256 characters. */
export const Tags = Schema.Record(
  Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._-]{1,64}$/, { expected: "1 to 64 of A-Z a-z 0-9 . _ -" })),
  Schema.String.check(Schema.isPattern(/^[^\p{Cs}]{0,256}$/u, { expected: "at most 256 characters" }))
).check(Schema.isBetweenProperties(0, 64))
export type Tags = typeof Tags.Type

/**
 * What is known about a file without reading it. `size` is in bytes, `sha256` in lower-case hexadecimal, `contentType` as it was
 * sent, with its parameters. `revision` starts at 1 and grows by 1 with each change; in quotes it is the `ETag` of the metadata.
 */
export class FileInfo extends Schema.Class<FileInfo>("FileInfo")({
  id: FileId,
  name: FileName,
  size: Schema.Int,
  contentType: Schema.String,
  sha256: Schema.String,
  tags: Tags,
  createdAt: Timestamp,
  modifiedAt: Timestamp,
  revision: Schema.Int
}) {}

export class FileNotFound extends HttpApiError.Problem<FileNotFound>()(
  "FileNotFound",
  { type: `${problemPrefix}file-not-found`, status: 404, title: "No such file" },
  { ...problemMembers, id: FileId }
) {}

/** The disk has lost the content, or does not give back the bytes that were stored; `detail` says what is wrong with it. */
export class ContentDamaged extends HttpApiError.Problem<ContentDamaged>()(
  "ContentDamaged",
  { type: `${problemPrefix}content-damaged`, status: 500, title: "The content of the file is damaged" },
  { ...problemMembers, id: FileId }
) {}

/** The multipart body is not what the endpoint takes; `part` names the part that is wrong, if one is. */
export class InvalidUpload extends HttpApiError.Problem<InvalidUpload>()(
  "InvalidUpload",
  { type: `${problemPrefix}invalid-upload`, status: 400, title: "The upload is not valid" },
  { ...problemMembers, part: Schema.optionalKey(Schema.String) }
) {}

/** The content has no byte in the `Range` that was asked for. `size` is that of the content, in bytes. */
export class RangeNotSatisfiable extends HttpApiError.Problem<RangeNotSatisfiable>()(
  "RangeNotSatisfiable",
  { type: `${problemPrefix}range-not-satisfiable`, status: 416, title: "The range is outside of the file" },
  { ...problemMembers, size: Schema.Int }
) {}

/** The `nextCursor` of a list of files, to be taken as it is. */
export const FileCursor = AnyCase.check(
  Schema.isPattern(/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/, { expected: "the nextCursor of a list of files" })
)

/** What an upload gives: every file that it stored. */
export const Stored = Schema.Struct({ items: Schema.Array(FileInfo) }).pipe(HttpApiSchema.status(201))

export class FilesApi extends HttpApiGroup.make("files")
  .add(
    HttpApiEndpoint.post("upload", "/upload", {
      /** Parts: `file` (once or more) and `tags`, a JSON object of strings that goes for all of them. */
      payload: Schema.Struct({
        file: Multipart.FilesSchema,
        tags: Schema.optionalKey(Schema.fromJsonString(Tags))
      }).pipe(HttpApiSchema.asMultipartStream({ maxParts: 100, maxFieldSize: "64 KiB", fieldMimeTypes: [] })),
      success: Stored,
      error: [InvalidUpload, IncompleteBody, ...bodyProblems, ...storeProblems]
    }),
    HttpApiEndpoint.get("list", "/", {
      query: {
        ...paging,
        cursor: Schema.optionalKey(FileCursor),
        /** Part of the name, case-insensitive. */
        name: Schema.optionalKey(Schema.String),
        /** `key:value`; given more than once, all must match. */
        tag: Schema.optionalKey(
          Schema.Array(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._-]{1,64}:/, { expected: "key:value" })))
        )
      },
      success: page(FileInfo),
      error: storeProblems
    }),
    HttpApiEndpoint.get("download", "/:id", {
      params: { id: FileIdInPath },
      success: HttpApiSchema.StreamUint8Array(),
      error: [FileNotFound, ContentDamaged, PreconditionFailed, RangeNotSatisfiable, ...storeProblems]
    }).annotate(OpenApi.Transform, documentEtag),
    HttpApiEndpoint.get("stat", "/:id/metadata", {
      params: { id: FileIdInPath },
      success: FileInfo,
      error: [FileNotFound, PreconditionFailed, ...storeProblems]
    }).annotate(OpenApi.Transform, documentEtag),
    HttpApiEndpoint.patch("update", "/:id/metadata", {
      params: { id: FileIdInPath },
      headers: conditionalHeaders,
      /** `tags` replaces all tags of the file. */
      payload: Schema.Struct({ name: Schema.optionalKey(FileName), tags: Schema.optionalKey(Tags) }),
      success: FileInfo,
      error: [FileNotFound, PreconditionFailed, ...bodyProblems, ...storeProblems]
    }).annotate(OpenApi.Transform, documentEtag),
    HttpApiEndpoint.delete("remove", "/:id", {
      params: { id: FileIdInPath },
      headers: conditionalHeaders,
      error: [FileNotFound, PreconditionFailed, ...storeProblems]
    })
  )
  .prefix("/api/files")
  .middleware(Authentication)
  .middleware(RequestDecoding)
  .annotateMerge(strictRequests)
  .annotateMerge(OpenApi.annotations({ title: "Files", description: "Upload, download, metadata and tags" })) {}
