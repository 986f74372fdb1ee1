import { FileName, InvalidUpload, Tags } from "@opsbuddy/contract/Files"
import { BodyTooLarge, UnsupportedMediaType } from "@opsbuddy/contract/Problems"
import { contentTypeOf } from "@opsbuddy/runtime/HttpProblems"
import { type ByteSize, Effect, Result, Schema, Stream } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { Draft, FileStore } from "./FileStore.ts"
import * as MultipartBody from "./MultipartBody.ts"

export interface Limits {
  /** The largest body. */
  readonly maxBytes: ByteSize.ByteSize
}

const maxParts = 100

/** In bytes. */
const maxField = 64 * 1024

const mediaType = "multipart/form-data"

const decodeTags = Schema.decodeUnknownEffect(Schema.fromJsonString(Tags), { onExcessProperty: "error" })
const isFileName = Schema.is(FileName)

const invalid = (part: string, detail: string) => new InvalidUpload({ part, detail: `${part} ${detail}` })

/** What the client named the file, without the folders that some clients send. Browsers escape a quote as `%22`, curl as `\"`. */
const lastSegment = (name: string) => name.replaceAll(/\\"|%22/g, '"').replace(/^.*[/\\]/s, "")

/**
 * Reads an upload and stores all of its files or none. `tags` may come before, between or after them. Nothing is committed before the
 * end of the body.
 */
export const receive = Effect.fn("Upload.receive")(function* (
  store: FileStore["Service"],
  request: HttpServerRequest.HttpServerRequest,
  { maxBytes }: Limits
) {
  if (contentTypeOf(request) !== mediaType) {
    const sent = request.headers["content-type"] ?? "no content type"
    return yield* new UnsupportedMediaType({
      detail: `${sent} was sent; the endpoint takes ${mediaType}`,
      accepts: [mediaType]
    })
  }
  const limit = Number(maxBytes)
  if (Number(request.headers["content-length"]) > limit) {
    return yield* new BodyTooLarge({ limit, detail: `the body has more than ${limit} bytes` })
  }
  const draft = yield* store.draft
  const upload = { parts: 0, files: 0, tags: undefined as Tags | undefined }
  const body = yield* MultipartBody.open(request, limit)
  for (let part = yield* body.next; part !== undefined; part = yield* body.next) {
    if (++upload.parts > maxParts) return yield* new InvalidUpload({ detail: `there are more than ${maxParts} parts` })
    yield* take(part, draft, upload)
  }
  if (upload.files === 0) return yield* invalid("file", "is missing: send one part or more of this name")
  return { items: yield* draft.commit(upload.tags ?? {}) }
}, Effect.scoped)

const take = Effect.fnUntraced(function* (
  { content, head }: MultipartBody.Part,
  draft: Draft,
  upload: { files: number; tags: Tags | undefined }
) {
  if (head.name !== "file" && head.name !== "tags") {
    return yield* invalid(head.name, "is unknown: the parts are file and tags")
  }
  if (head.isFile) {
    if (head.name === "tags") return yield* invalid("tags", "is sent as a file: send it as a field")
    const name = lastSegment(head.filename ?? head.name)
    if (!isFileName(name)) {
      return yield* invalid("file", "has no valid file name: 1 to 255 characters, no control characters")
    }
    yield* draft.add({ name, contentType: head.contentType }, content)
    upload.files++
    return
  }
  if (head.name === "file") return yield* invalid("file", "is sent as a field: it has no file name")
  if (upload.tags !== undefined) return yield* invalid("tags", "is sent more than once")
  upload.tags = yield* decodeTags(yield* textOf(content, head.charset)).pipe(
    Effect.catchTag("SchemaError", (error) =>
      Effect.fail(invalid("tags", `must be a JSON object of strings: ${error.message.replaceAll(/\s+/g, " ")}`))
    )
  )
})

/** The text of a field. Bytes that are none are refused, not replaced. */
const textOf = Effect.fnUntraced(function* (content: MultipartBody.Part["content"], charset: string) {
  const pieces: Array<Uint8Array> = []
  let size = 0
  yield* Stream.runForEach(content, (piece) => {
    size += piece.length
    if (size > maxField) return Effect.fail(new InvalidUpload({ detail: "a field is larger than 64 KiB" }))
    // A copy, because the next piece may come in the same memory.
    pieces.push(piece.slice())
    return Effect.void
  })
  const text = Result.try(() => new TextDecoder(charset, { fatal: true }).decode(Buffer.concat(pieces)))
  return yield* Result.match(text, {
    onSuccess: Effect.succeed,
    onFailure: () => Effect.fail(invalid("tags", `is no text in the charset ${charset}`))
  })
})
