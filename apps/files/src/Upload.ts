import { FileName, InvalidUpload, Tags } from "@opsbuddy/contract/Files"
import { BodyTooLarge, IncompleteBody } from "@opsbuddy/contract/Problems"
import { type ByteSize, Effect, Predicate, Schema, Stream } from "effect"
import { HttpIncomingMessage, type HttpServerRequest, type Multipart } from "effect/http"
import type { Draft, FileStore } from "./FileStore.ts"

export interface Limits {
  /** The largest body. */
  readonly maxBytes: ByteSize.ByteSize
}

type Parts = Stream.Stream<Multipart.Part, Multipart.MultipartError>

const decodeTags = Schema.decodeUnknownEffect(Schema.fromJsonString(Tags), { onExcessProperty: "error" })
const isFileName = Schema.is(FileName)

const invalid = (part: string, detail: string) => new InvalidUpload({ part, detail: `${part} ${detail}` })

/** What the client named the file, without the folders that some clients send. Browsers escape a quote as `%22`, curl as `\"`. */
const lastSegment = (name: string) => name.replaceAll(/\\"|%22/g, '"').replace(/^.*[/\\]/s, "")

/**
 * Reads an upload and stores all of its files or none. `tags` may come before, between or after them. A file part can end
 * early without an error of its own when the body breaks off, so nothing is committed before the end of the body.
 */
export const receive = Effect.fn("Upload.receive")(function* (
  store: FileStore["Service"],
  parts: Parts,
  request: HttpServerRequest.HttpServerRequest,
  { maxBytes }: Limits
) {
  const limit = Number(maxBytes)
  if (Number(request.headers["content-length"]) > limit) return yield* new BodyTooLarge({ limit })
  const draft = yield* store.draft
  const upload = { files: 0, tags: undefined as Tags | undefined }
  yield* parts.pipe(
    Stream.runForEach((part) => take(part, draft, upload)),
    Effect.provideService(HttpIncomingMessage.MaxBodySize, maxBytes),
    Effect.catchTag("MultipartError", (error) => Effect.fail(refusal(error, limit)))
  )
  if (upload.files === 0) return yield* invalid("file", "is missing: send one part or more of this name")
  return { items: yield* draft.commit(upload.tags ?? {}) }
}, Effect.scoped)

const take = Effect.fnUntraced(function* (
  part: Multipart.Part,
  draft: Draft,
  upload: { files: number; tags: Tags | undefined }
) {
  if (part.key !== "file" && part.key !== "tags") {
    return yield* invalid(part.key, "is unknown: the parts are file and tags")
  }
  if (part._tag === "File") {
    if (part.key === "tags") return yield* invalid("tags", "is sent as a file: send it as a field")
    const name = lastSegment(part.name)
    if (!isFileName(name)) {
      return yield* invalid("file", "has no valid file name: 1 to 255 characters, no control characters")
    }
    yield* draft.add({ name, contentType: part.contentType }, part.content)
    upload.files++
    return
  }
  if (part.key === "file") return yield* invalid("file", "is sent as a field: it has no file name")
  if (upload.tags !== undefined) return yield* invalid("tags", "is sent more than once")
  upload.tags = yield* decodeTags(part.value).pipe(
    Effect.mapError((error) =>
      invalid("tags", `must be a JSON object of strings: ${error.message.replaceAll(/\s+/g, " ")}`)
    )
  )
})

const limits = {
  MaxParts: "there are more than 100 parts",
  MaxFieldSize: "a field is larger than 64 KiB"
}

/**
 * What a parser's failure means to the client. On Node a file part fails with the parser's reason as the cause of an
 * internal error, so the cause is what tells.
 */
const refusal = ({ reason: { cause } }: Multipart.MultipartError, limit: number) => {
  if (!Predicate.hasProperty(cause, "_tag")) return new IncompleteBody({})
  switch (cause._tag) {
    case "ReachedLimit": {
      const reached = Predicate.hasProperty(cause, "limit") ? cause.limit : undefined
      return reached === "MaxParts" || reached === "MaxFieldSize"
        ? new InvalidUpload({ detail: limits[reached] })
        : new BodyTooLarge({ limit })
    }
    case "InvalidBoundary":
      return new InvalidUpload({ detail: "the Content-Type names no valid boundary" })
    case "BadHeaders":
      return new InvalidUpload({ detail: "the headers of a part are malformed" })
    case "InvalidDisposition":
      return new InvalidUpload({ detail: "a part has no valid Content-Disposition with a name" })
    case "EndNotReached":
      return new IncompleteBody({ detail: "the body ends before its closing boundary" })
    default:
      return new IncompleteBody({})
  }
}
