import { InvalidRequest, type Issue, UnsupportedMediaType } from "@opsbuddy/contract/Problems"
import { maxConfigDepth } from "@opsbuddy/contract/Utility"
import { endOfString } from "@opsbuddy/runtime/JsonDepth"
import * as RequestText from "@opsbuddy/runtime/RequestText"
import { Effect, Option } from "effect"
import type { HttpServerRequest } from "effect/http"

const parse = Option.liftThrowable((text: string): { readonly value: unknown } => ({ value: JSON.parse(text) }))

/** An array or object that is being read, and where in it. */
interface Frame {
  /** Those of an object that were there; `undefined` in an array. */
  readonly keys: Set<string> | undefined
  at: string | number
  /** Whether the next string is a key. */
  isAtKey: boolean
}

/** How far a text is read. */
interface Reading {
  readonly text: string
  readonly frames: Array<Frame>
  index: number
  /** What was read, without white space; the text from `copied` on is not in it yet. */
  kept: string
  copied: number
}

interface Misfit {
  readonly path: Issue["path"]
  readonly message: string
}

const misfit = (frames: ReadonlyArray<Frame>, message: string): Misfit => ({
  path: frames.map(({ at }) => at),
  message
})

const whiteSpace = /[ \t\n\r]+/y

const skipWhiteSpace = (reading: Reading) => {
  reading.kept += reading.text.slice(reading.copied, reading.index)
  whiteSpace.lastIndex = reading.index
  whiteSpace.test(reading.text)
  reading.copied = whiteSpace.lastIndex
  reading.index = reading.copied - 1
}

const readString = (reading: Reading): Misfit | undefined => {
  const { frames, text } = reading
  const frame = frames.at(-1)
  const end = endOfString(text, reading.index)
  const literal = text.slice(reading.index, end + 1)
  reading.index = end
  const string = literal.includes("\\") ? String(JSON.parse(literal)) : literal.slice(1, -1)
  const outside = frame?.isAtKey === true ? frames.slice(0, -1) : frames
  if (!string.isWellFormed()) return misfit(outside, "has half of a surrogate pair, which is no character")
  if (frame?.isAtKey !== true) return undefined
  if (frame.keys?.has(string) === true) return misfit(outside, `has the key ${literal} twice`)
  frame.keys?.add(string)
  frame.at = string
  frame.isAtKey = false
  return undefined
}

/** Reads valid JSON up to `end`, or to what does not fit. */
const readTo = (reading: Reading, end: number): Misfit | undefined => {
  const { frames, text } = reading
  for (; reading.index < end; reading.index++) {
    switch (text[reading.index]) {
      case " ":
      case "\t":
      case "\n":
      case "\r":
        skipWhiteSpace(reading)
        break
      case '"': {
        const found = readString(reading)
        if (found !== undefined) return found
        break
      }
      case "[":
      case "{": {
        if (frames.length === maxConfigDepth) return misfit(frames, `nested deeper than ${maxConfigDepth} levels`)
        const isObject = text[reading.index] === "{"
        frames.push({ keys: isObject ? new Set() : undefined, at: isObject ? "" : 0, isAtKey: isObject })
        break
      }
      case "]":
      case "}":
        frames.pop()
        break
      case ",": {
        const frame = frames.at(-1)
        if (frame === undefined) break
        if (typeof frame.at === "number") frame.at++
        else frame.isAtKey = true
      }
    }
  }
  return undefined
}

const invalid = ({ message, path }: Misfit) => {
  const at = ["payload", ...path]
  return new InvalidRequest({ detail: `${at.join(".")}: ${message}`, errors: [{ path: at, message }] })
}

/** Reads this many characters at once, between which others get their turn. */
const sliceLength = 128 * 1024

/**
 * The JSON of a configuration as it is kept: without white space, and otherwise as it came, so that no digit of a number is lost.
 * Fails where it is no JSON, nested deeper than the contract allows, or has what another reader would take for something else: two
 * equal keys in one object, and half of a surrogate pair, which UTF-8 cannot hold.
 */
export const read = Effect.fnUntraced(function* (text: string) {
  if (Option.isNone(parse(text))) return yield* invalid({ path: [], message: "Expected a valid JSON body" })
  const reading: Reading = { text, frames: [], index: 0, kept: "", copied: 0 }
  while (reading.index < text.length) {
    const found = readTo(reading, Math.min(text.length, reading.index + sliceLength))
    if (found !== undefined) return yield* invalid(found)
    yield* Effect.yieldNow
  }
  return reading.kept + text.slice(reading.copied)
})

/** The configuration that is the body of a request. A body that cannot be read is a defect, which the runtime answers for. */
export const ofRequest = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
  if (RequestText.isJson(request)) return yield* read(yield* Effect.orDie(request.text))
  const detail = `${request.headers["content-type"]} was sent; the endpoint takes application/json`
  return yield* new UnsupportedMediaType({ detail, accepts: ["application/json"] })
})
