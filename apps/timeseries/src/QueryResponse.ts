import type { StoreProblem } from "@opsbuddy/contract/Problems"
import { Array, Effect, Pull, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import type { SeriesPart } from "./SeriesStore.ts"

export interface Result {
  readonly measurement: string
  readonly columns: ReadonlyArray<string>
  readonly parts: Stream.Stream<SeriesPart, StoreProblem>
}

/**
 * The result as the contract's `QueryResult`, written as it is read, so that its size is no matter of memory. A failure before the
 * first row is a problem response; a later one breaks the connection off, because the status has been sent.
 */
export const make = Effect.fnUntraced(function* (result: Result) {
  const pull = yield* Stream.toPull(result.parts)
  const first = yield* Pull.catchDone(pull, () => Effect.succeed([]))
  const rest = first.length === 0 ? Stream.empty : Stream.fromPull(Effect.succeed(pull))
  const body = Stream.concat(Stream.fromIterable(first), rest).pipe(write(result), Stream.encodeText)
  return HttpServerResponse.stream(body, { contentType: "application/json" })
})

/** The text of the whole result, an item of the stream for each chunk. */
const write =
  ({ columns, measurement }: Result) =>
  <E>(parts: Stream.Stream<SeriesPart, E>): Stream.Stream<string, E> => {
    let opened = false
    const text = ({ continues, rows, tags }: SeriesPart) => {
      const items = rows.map((row) => JSON.stringify(row)).join(",")
      if (continues) return `,${items}`
      const before = opened ? "]}," : ""
      opened = true
      const head = JSON.stringify({ measurement, tags: Object.fromEntries(tags), columns })
      return `${before}${head.slice(0, -1)},"rows":[${items}`
    }
    return Stream.fromArray(['{"series":[']).pipe(
      Stream.concat(Stream.mapArray(parts, (chunk) => Array.of(chunk.map(text).join("")))),
      Stream.concat(Stream.suspend(() => Stream.fromArray([opened ? "]}]}" : "]}"])))
    )
  }
