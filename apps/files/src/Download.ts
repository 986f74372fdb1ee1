import { type FileId, type FileInfo, RangeNotSatisfiable } from "@opsbuddy/contract/Files"
import * as Conditions from "@opsbuddy/runtime/Conditions"
import { DateTime, Effect } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { contentOf, type FileStore, proceeds, type Range } from "./FileStore.ts"

/**
 * The bytes of a file, as RFC 9110 has it: whole (200), one range of it (206), `304` when the client has them, or `412` where its
 * conditions do not hold. Several ranges, or a header that is no range, get the whole. Never a page of our origin, whatever its
 * content says it is.
 */
export const answer = Effect.fn("Download.answer")(function* (
  store: FileStore["Service"],
  id: FileId,
  request: HttpServerRequest.HttpServerRequest
) {
  const conditions = yield* Conditions.fromHeaders(request.method, request.headers)
  const info = yield* store.stat(id)
  const present = contentOf(info)
  const headers = headersOf(info)
  yield* proceeds(conditions, present)
  if (conditions.check(present) === "not-modified") return HttpServerResponse.empty({ status: 304, headers })
  if (request.method === "HEAD") {
    yield* store.check(info)
    return HttpServerResponse.empty({ status: 200, headers: { ...headers, "content-length": String(info.size) } })
  }
  const condition = request.headers["if-range"] ?? headers.etag
  const unchanged = condition === headers.etag || condition === headers["last-modified"]
  const range = unchanged ? rangeOf(request.headers.range, info.size) : undefined
  if (range === "unsatisfiable") {
    return yield* new RangeNotSatisfiable({ size: info.size, detail: `the file has ${info.size} bytes` })
  }
  const content = HttpServerResponse.setHeaders(yield* store.content(info, range), headers)
  if (range === undefined) return content
  return content.pipe(
    HttpServerResponse.setStatus(206),
    HttpServerResponse.setHeader("content-range", `bytes ${range.first}-${range.last}/${info.size}`)
  )
})

const headersOf = (info: FileInfo) => ({
  "content-type": info.contentType,
  "content-disposition": contentDisposition(info.name),
  etag: `"${info.sha256}"`,
  "last-modified": DateTime.toDateUtc(info.modifiedAt).toUTCString(),
  "accept-ranges": "bytes",
  "cache-control": "no-cache",
  "x-content-type-options": "nosniff",
  "content-security-policy": "sandbox"
})

/** `attachment` with the name in ASCII and, when that is not the whole name, as in RFC 8187 (https://www.rfc-editor.org/rfc/rfc6266). */
export const contentDisposition = (name: string) => {
  const ascii = name.replaceAll(/[^ -~]|["\\%]/gu, "_")
  if (ascii === name) return `attachment; filename="${name}"`
  const encoded = encodeURIComponent(name).replaceAll(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`
  )
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`
}

/** The one range of a `Range` header that lies in `size` bytes; `undefined` is the whole. */
export const rangeOf = (header: string | undefined, size: number): Range | "unsatisfiable" | undefined => {
  const [, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? []
  if (from === "" && to === "") return undefined
  if (from === "")
    return size === 0 || Number(to) === 0 ? "unsatisfiable" : { first: Math.max(0, size - Number(to)), last: size - 1 }
  const first = Number(from)
  if (to !== "" && Number(to) < first) return undefined
  return first >= size ? "unsatisfiable" : { first, last: to === "" ? size - 1 : Math.min(Number(to), size - 1) }
}
