import type { Issue } from "@opsbuddy/contract/Problems"
import * as Body from "./Body.ts"

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c]
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Why the text is no array of elements; `index` is that of the element, absent where it is the array itself. */
export interface Misfit {
  readonly index?: number
  readonly message: string
}

/** The same as a caller is told. */
export const issue = ({ index, message }: Misfit): Issue => ({
  path: index === undefined ? ["payload"] : ["payload", index],
  message
})

/** Where in the array a reading is. `value` is after a comma, `after` behind the closing bracket. */
type State = "start" | "first" | "value" | "inside" | "after"

/**
 * Takes the text of a JSON array apart as it arrives, so that it is neither held nor parsed as a whole. `element` gets the
 * bytes of each element, which may still be anything; what is around them is checked here.
 */
export const make = (element: (bytes: Uint8Array, index: number) => void) => {
  const pending = Body.pieces()
  let state: State = "start"
  let misfit: Misfit | undefined
  let index = 0
  let depth = 0
  let inString = false
  let escaped = false
  let mark = 0

  /** Takes a byte that is not in an element; tells whether one begins with it. */
  const begins = (byte: number) => {
    if (state === "start") {
      // A byte order mark in front is no part of the text.
      if (byte === markBytes[mark]) mark++
      else if (byte === openBracket && (mark === 0 || mark === 3)) state = "first"
      else misfit = { message: "Expected a JSON array" }
      return false
    }
    if (state === "after") misfit = { message: "Expected nothing after the JSON array" }
    else if (byte === closeBracket && state === "first") state = "after"
    else if (byte === comma || byte === closeBracket) misfit = { index, message: "Expected valid JSON" }
    else return true
    return false
  }

  /** Whether the element ends before this byte. */
  const ends = (byte: number) => {
    if (inString) {
      if (escaped) escaped = false
      else if (byte === backslash) escaped = true
      else if (byte === quote) inString = false
    } else if (byte === quote) inString = true
    else if (byte === openBracket || byte === openBrace) depth++
    else if (depth > 0) {
      if (byte === closeBracket || byte === closeBrace) depth--
    } else return byte === comma || byte === closeBracket
    return false
  }

  return {
    /** What is wrong so far; nothing is read after it. */
    misfit: () => misfit,
    /** The element that is being read, and how much of it there is. */
    unfinished: () => ({ index, bytes: pending.size() }),
    push: (bytes: Uint8Array) => {
      let start = 0
      for (let at = 0; at < bytes.length && misfit === undefined; at++) {
        // The loop ends before the length.
        const byte = bytes[at] as number
        if (state === "inside") {
          if (!ends(byte)) continue
          element(pending.finish(bytes.subarray(start, at)), index)
          index++
          state = byte === comma ? "value" : "after"
        } else if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
          if (!begins(byte)) continue
          state = "inside"
          start = at
          ends(byte)
        }
      }
      if (state === "inside") pending.keep(bytes.subarray(start))
    },
    end: () => {
      if (misfit !== undefined || state === "after") return
      const cut = { index, message: "Expected valid JSON, which the end of the body has cut" }
      misfit = state === "start" ? { message: "Expected a JSON array" } : cut
    }
  }
}

const markBytes = [0xef, 0xbb, 0xbf]
