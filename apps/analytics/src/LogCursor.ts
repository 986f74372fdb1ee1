import { Effect, Result } from "effect"
import { Base64Url } from "effect/encoding"
import type { Position } from "./LogStore.ts"
import { refusal } from "./Refusal.ts"

/** A place among the entries as an opaque string. */
export const encode = ({ millis, sequence }: Position) => Base64Url.encode(`${millis}.${sequence}`)

/** Reads what `encode` wrote; all else is refused as `query.cursor`. */
export const decode = (cursor: string) => {
  const text = Result.getOrElse(Base64Url.decodeString(cursor), () => "")
  const [, millis, sequence] = /^(-?\d{1,16})\.(\d{1,16})$/.exec(text) ?? []
  const position = { millis: Number(millis), sequence: Number(sequence) }
  return Number.isSafeInteger(position.millis) && Number.isSafeInteger(position.sequence)
    ? Effect.succeed<Position>(position)
    : Effect.fail(refusal({ path: ["query", "cursor"], message: "Expected the nextCursor of a page of this list" }))
}
