import { LogInput } from "@opsbuddy/contract/Analytics"
import type { Issue } from "@opsbuddy/contract/Problems"
import { strict } from "@opsbuddy/contract/Wire"
import { endOfString } from "@opsbuddy/runtime/JsonDepth"
import { type DateTime, Result, Schema } from "effect"
import * as JsonElement from "./JsonElement.ts"

/** An entry whose `data` is JSON as it was sent, so that no digit of a number is lost. */
export interface NewLog extends Omit<LogInput, "data"> {
  readonly data?: string
}

/** An entry as it is kept. */
export interface StoredLog extends NewLog {
  readonly timestamp: DateTime.Utc
}

const decodeInput = Schema.decodeUnknownResult(LogInput, strict)

/** Reads one entry; the paths of what is wrong begin in it. */
export const decode = (bytes: Uint8Array): Result.Result<NewLog, ReadonlyArray<Issue>> =>
  Result.flatMap(JsonElement.text(bytes), (text) =>
    Result.flatMap(JsonElement.parseText(text), (json) =>
      Result.match(decodeInput(json), {
        onFailure: (error) => Result.fail(JsonElement.issues(error)),
        onSuccess: ({ data, ...entry }) => Result.succeed(data === undefined ? entry : { ...entry, data: dataOf(text) })
      })
    )
  )

/** The text of the member `data` of a JSON object, of the last one as for `JSON.parse`. */
const dataOf = (json: string) => {
  let found = ""
  let depth = 0
  let isAtKey = false
  let isData = false
  let start = 0
  const finish = (end: number) => {
    if (isData) found = json.slice(start, end).trim()
    isData = false
  }
  for (let index = 0; index < json.length; index++) {
    switch (json[index]) {
      case '"': {
        const end = endOfString(json, index)
        if (depth === 1 && isAtKey) {
          const key = json.slice(index, end + 1)
          isData = key === '"data"' || (key.includes("\\") && JSON.parse(key) === "data")
          isAtKey = false
        }
        index = end
        break
      }
      case ":":
        if (depth === 1) start = index + 1
        break
      case "[":
      case "{":
        depth++
        if (depth === 1) isAtKey = true
        break
      case "]":
      case "}":
        if (depth === 1) finish(index)
        depth--
        break
      case ",":
        if (depth !== 1) break
        finish(index)
        isAtKey = true
    }
  }
  return found
}
