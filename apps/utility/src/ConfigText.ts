import { InvalidRequest, type Issue, UnsupportedMediaType } from "@opsbuddy/contract/Problems"
import { maxConfigDepth } from "@opsbuddy/contract/Utility"
import { endOfString } from "@opsbuddy/runtime/JsonDepth"
import * as RequestText from "@opsbuddy/runtime/RequestText"
import { Effect, Option } from "effect"
import type { HttpServerRequest } from "effect/http"

const parseString = Option.liftThrowable((literal: string): string => JSON.parse(literal))
const isJson = Option.liftThrowable((text: string) => {
  JSON.parse(text)
  return true
})

/** An array or object that is being read, and where in it. */
interface Frame {
  /** Those of an object that were there; `undefined` in an array. */
  readonly keys: Set<string> | undefined
  at: string | number
  /** Whether the next string is a key. */
  isAtKey: boolean
}

const invalid = (path: Issue["path"], message: string) => {
  const at = ["payload", ...path]
  return Effect.fail(new InvalidRequest({ detail: `${at.join(".")}: ${message}`, errors: [{ path: at, message }] }))
}

const pathTo = (frames: ReadonlyArray<Frame>) => frames.map(({ at }) => at)

/**
 * The JSON of a configuration as it is kept: without white space, and otherwise as it came, so that no digit of a number is lost.
 * Fails where it is no JSON, nested deeper than the contract allows, or has what another reader would take for something else: two
 * equal keys in one object, and half of a surrogate pair, which UTF-8 cannot hold.
 */
export const read = (text: string): Effect.Effect<string, InvalidRequest> =>
  Effect.suspend(() => {
    if (Option.isNone(isJson(text))) return invalid([], "Expected a valid JSON body")
    const frames: Array<Frame> = []
    let kept = ""
    let copied = 0
    for (let index = 0; index < text.length; index++) {
      const frame = frames.at(-1)
      switch (text.charCodeAt(index)) {
        case 0x20:
        case 0x09:
        case 0x0a:
        case 0x0d:
          kept += text.slice(copied, index)
          copied = index + 1
          break
        case 0x22: {
          const end = endOfString(text, index)
          const literal = text.slice(index, end + 1)
          const string = literal.includes("\\")
            ? Option.getOrElse(parseString(literal), () => "")
            : literal.slice(1, -1)
          index = end
          if (!string.isWellFormed()) {
            return invalid(
              pathTo(frame?.isAtKey === true ? frames.slice(0, -1) : frames),
              "has half of a surrogate pair, which is no character"
            )
          }
          if (frame?.isAtKey !== true) break
          if (frame.keys?.has(string) === true) {
            return invalid(pathTo(frames.slice(0, -1)), `has the key ${literal} twice`)
          }
          frame.keys?.add(string)
          frame.at = string
          frame.isAtKey = false
          break
        }
        case 0x5b:
        case 0x7b: {
          if (frames.length === maxConfigDepth) {
            return invalid(pathTo(frames), `nested deeper than ${maxConfigDepth} levels`)
          }
          const isObject = text[index] === "{"
          frames.push({ keys: isObject ? new Set() : undefined, at: isObject ? "" : 0, isAtKey: isObject })
          break
        }
        case 0x5d:
        case 0x7d:
          frames.pop()
          break
        case 0x2c:
          if (frame === undefined) break
          if (typeof frame.at === "number") frame.at++
          else frame.isAtKey = true
      }
    }
    return Effect.succeed(kept + text.slice(copied))
  })

/** The configuration that is the body of a request. A body that cannot be read is a defect, which the runtime answers for. */
export const ofRequest = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
  if (RequestText.isJson(request)) return yield* read(yield* Effect.orDie(request.text))
  const detail = `${request.headers["content-type"]} was sent; the endpoint takes application/json`
  return yield* new UnsupportedMediaType({ detail, accepts: ["application/json"] })
})
