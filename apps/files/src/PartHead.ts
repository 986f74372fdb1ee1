import { InvalidUpload } from "@opsbuddy/contract/Files"
import * as Utf8 from "@opsbuddy/runtime/Utf8"
import { Effect, Result } from "effect"
import { MultipartParser } from "effect/http"

/** What the head of a part says. `contentType` is as it was sent. */
export interface PartHead {
  readonly name: string
  readonly filename: string | undefined
  readonly isFile: boolean
  readonly contentType: string
  /** Of the text of a field. */
  readonly charset: string
}

/** A media type with its parameters, https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1. */
const mediaType =
  /^[!#$%&'*+.^\w`|~-]+\/[!#$%&'*+.^\w`|~-]+(?:[ \t]*;[ \t]*(?:[!#$%&'*+.^\w`|~-]+=(?:[!#$%&'*+.^\w`|~-]+|"(?:[\t !\x23-\x5b\x5d-\x7e]|\\[\t -~])*"))?)*$/

const maxContentType = 255

const octets = "application/octet-stream"

/** Has effect's parser read the head, as the only part of a body. */
const parse = (head: Uint8Array) => {
  let found: MultipartParser.PartInfo | MultipartParser.MultipartError | undefined
  const parser = MultipartParser.make({
    headers: { "content-type": "multipart/form-data; boundary=head" },
    isFile: (info) => {
      found ??= info
      return true
    },
    onField: () => {},
    onFile: () => () => {},
    onError: (error) => {
      found ??= error
    },
    onDone: () => {}
  })
  parser.write(Buffer.concat([Buffer.from("--head\r\n"), head, Buffer.from("\r\n\r\n\r\n--head--\r\n")]))
  parser.end()
  return found
}

const invalid = (part: string | undefined, problem: string) =>
  new InvalidUpload(part === undefined ? { detail: `a part ${problem}` } : { part, detail: `${part} ${problem}` })

/** The name of the part in a head that cannot be read as a whole. */
const nameIn = (head: Uint8Array) =>
  /(?:^|[;\s])name="?([A-Za-z0-9._-]+)/.exec(Buffer.from(head).toString("latin1"))?.[1]

const contentTypeOf = (info: MultipartParser.PartInfo) => {
  const sent = info.headers["content-type"]
  if (sent === undefined || sent === "") return Result.succeed(info.contentType)
  if (typeof sent !== "string") return Result.fail("has more than one Content-Type")
  return sent.length <= maxContentType && mediaType.test(sent)
    ? Result.succeed(sent)
    : Result.fail(`has no valid Content-Type: up to ${maxContentType} characters, such as text/plain; charset=utf-8`)
}

/** Reads the head of a part. Bytes that are no UTF-8 are refused, not replaced. */
export const decode = (head: Uint8Array): Effect.Effect<PartHead, InvalidUpload> => {
  const text = Utf8.decode(head)
  if (Result.isFailure(text)) {
    return Effect.fail(invalid(nameIn(head), `has a head that is no UTF-8, at its byte ${text.failure}`))
  }
  const info = parse(head)
  if (info === undefined) return Effect.fail(invalid(nameIn(head), "has no headers"))
  if ("_tag" in info) {
    const problem =
      info._tag === "InvalidDisposition"
        ? "has no valid Content-Disposition with a name, in UTF-8"
        : "has malformed headers"
    return Effect.fail(invalid(nameIn(head), problem))
  }
  const { contentTypeParameters, filename, name } = info
  return Result.match(contentTypeOf(info), {
    onFailure: (problem) => Effect.fail(invalid(name, problem)),
    onSuccess: (contentType) =>
      Effect.succeed({
        name,
        filename,
        isFile: filename !== undefined || info.contentType === octets,
        contentType,
        charset: contentTypeParameters.charset ?? "utf-8"
      })
  })
}
