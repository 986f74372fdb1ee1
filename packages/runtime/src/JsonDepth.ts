import { InvalidRequest } from "@opsbuddy/contract/Problems"
import { Effect } from "effect"
import { HttpServerError, type HttpServerRequest } from "effect/http"

/** How deep the JSON of a request may be nested; the contract's own bounds are smaller, where it has any. */
export const maxJsonDepth = 200

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d]

const isTooDeep = (json: string) => {
  let depth = 0
  let inString = false
  for (let index = 0; index < json.length; index++) {
    const code = json.charCodeAt(index)
    if (code === quote) inString = !inString
    else if (inString) index += code === backslash ? 1 : 0
    else if (code === openBracket || code === openBrace) {
      if (++depth > maxJsonDepth) return true
    } else if (code === closeBracket || code === closeBrace) depth--
  }
  return false
}

const message = `Expected JSON that is nested at most ${maxJsonDepth} deep`

const tooDeep = (request: HttpServerRequest.HttpServerRequest) =>
  new HttpServerError.HttpServerError({
    reason: new HttpServerError.RequestParseError({
      request,
      cause: new InvalidRequest({ detail: `payload: ${message}`, errors: [{ path: ["payload"], message }] })
    })
  })

/**
 * The request, with a `text` that fails where it is JSON that is nested too deep. Parsing and checking a million levels
 * takes seconds in which nothing else is answered; looking at the text first takes milliseconds.
 */
export const bounded = (request: HttpServerRequest.HttpServerRequest): HttpServerRequest.HttpServerRequest => {
  const contentType = request.headers["content-type"]
  if (contentType !== undefined && !contentType.toLowerCase().startsWith("application/json")) return request
  return Object.create(request, {
    text: {
      get: () =>
        Effect.flatMap(request.text, (text) => (isTooDeep(text) ? Effect.fail(tooDeep(request)) : Effect.succeed(text)))
    }
  })
}
