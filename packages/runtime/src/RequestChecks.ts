import { InvalidRequest, type Issue, UnsupportedContentEncoding } from "@opsbuddy/contract/Problems"
import { Result } from "effect"
import { HttpMethod, type HttpServerRequest } from "effect/http"
import { unknownParameter } from "./RequestDecoding.ts"
import type { Endpoint, Routes } from "./Routes.ts"

/** Why the request is refused before its endpoint sees it; `undefined` where it is not, and where nothing is served. */
export const problemOf = (
  routes: Routes,
  { headers, method, url }: HttpServerRequest.HttpServerRequest
): InvalidRequest | UnsupportedContentEncoding | undefined => {
  const [path = "", query = ""] = split(url)
  if (!isText(path)) return wrongPath(routes, method, path)
  const found = routes.find(method, path)
  if (found === undefined) return undefined
  const errors = queryIssues(found.endpoint, query)
  if (errors.length > 0) return invalid(errors)
  const encodings = headers["content-encoding"]
  return encodings === undefined || !HttpMethod.hasBody(method) ? undefined : wrongEncoding(found.endpoint, encodings)
}

const split = (url: string) => {
  const [withoutFragment = ""] = url.split("#", 1)
  const at = withoutFragment.indexOf("?")
  return at === -1 ? [withoutFragment] : [withoutFragment.slice(0, at), withoutFragment.slice(at + 1)]
}

/** Whether what is percent-encoded is UTF-8. The routers would take it as it stands, or find nothing. */
const isText = (encoded: string) =>
  !encoded.includes("%") || Result.isSuccess(Result.try(() => decodeURIComponent(encoded)))

const invalid = (errors: ReadonlyArray<Issue>) =>
  new InvalidRequest({ detail: `${errors[0]?.path.join(".")}: ${errors[0]?.message}`, errors: errors.slice(0, 100) })

const notText = (encoded: string) => `Expected UTF-8 in percent-encoding, got ${encoded.slice(0, 100)}`

/** No path has such a segment. */
const marker = "\u0001"

const wrongPath = (routes: Routes, method: string, path: string) => {
  const segments = path.split("/")
  const marked = segments.map((segment) => (isText(segment) ? segment : marker)).join("/")
  const params = Object.entries(routes.find(method, marked)?.params ?? {})
  const message = notText(segments.find((segment) => !isText(segment)) ?? path)
  const errors = params.flatMap(([name, value]) =>
    value?.includes(marker) === true ? [{ path: ["params", name], message }] : []
  )
  return errors.length === 0 ? undefined : invalid(errors)
}

const queryIssues = ({ query: takes }: Endpoint, query: string): ReadonlyArray<Issue> => {
  if (takes === "any" || query === "" || (takes === "some" && isText(query))) return []
  return query.split("&").flatMap((pair): ReadonlyArray<Issue> => {
    if (pair === "") return []
    const [name = "", ...rest] = pair.split("=")
    if (!isText(name)) return [{ path: ["query"], message: notText(name) }]
    const shown = decodeURIComponent(name.replaceAll("+", " "))
    const value = rest.join("=")
    if (!isText(value)) return [{ path: ["query", shown], message: notText(value) }]
    return takes === "none" ? [{ path: ["query", shown], message: unknownParameter(shown, []) }] : []
  })
}

/** Other names of encodings, https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1. */
const aliases = new Map([
  ["x-gzip", "gzip"],
  ["x-compress", "compress"]
])

/** An endpoint that takes no body does not look at one. */
const wrongEncoding = ({ contentEncodings, payload }: Endpoint, header: string) => {
  if (payload.size === 0) return undefined
  const sent = header.split(",").flatMap((coding) => {
    const name = coding.trim().toLowerCase()
    return name === "" || name === "identity" ? [] : [aliases.get(name) ?? name]
  })
  if (sent.every((coding) => contentEncodings.includes(coding))) return undefined
  const acceptEncoding = [...contentEncodings, "identity"]
  return new UnsupportedContentEncoding({
    detail: `the body is encoded as ${sent.join(", ")}; the endpoint reads ${acceptEncoding.join(", ")}`,
    acceptEncoding
  })
}
