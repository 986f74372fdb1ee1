import { InvalidUpload } from "@opsbuddy/contract/Files"
import { BodyTooLarge, IncompleteBody } from "@opsbuddy/contract/Problems"
import { Cause, Effect, Pull, Stream } from "effect"
import type { HttpServerRequest } from "effect/http"
import * as MultipartSplitter from "./MultipartSplitter.ts"
import * as PartHead from "./PartHead.ts"

export type Problem = BodyTooLarge | IncompleteBody | InvalidUpload

/** One part. `content` is to be read to its end before the next part is asked for. */
export interface Part {
  readonly head: PartHead.PartHead
  readonly content: Stream.Stream<Uint8Array, Problem>
}

/** The body of a request, part by part. `undefined` comes when the body has ended as it should. */
export interface MultipartBody {
  readonly next: Effect.Effect<Part | undefined, Problem>
}

const boundaryOf = (contentType: string) => {
  const [, quoted, token] = /;[ \t]*boundary=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))[ \t]*(?:;|$)/i.exec(contentType) ?? []
  const boundary = quoted?.replaceAll(/\\(.)/g, "$1") ?? token
  // https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1
  return boundary !== undefined && /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/.test(boundary)
    ? boundary
    : undefined
}

/** Opens the body of a request for as long as the scope is open. `limit` is in bytes, of the whole body. */
export const open = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest, limit: number) {
  const boundary = boundaryOf(request.headers["content-type"] ?? "")
  if (boundary === undefined) {
    return yield* new InvalidUpload({ detail: "the Content-Type names no valid boundary" })
  }
  const splitter = MultipartSplitter.make(boundary)
  const pull = yield* Stream.toPull(Stream.mapError(request.stream, () => new IncompleteBody({})))
  let [size, ended] = [0, false]
  let events: Array<MultipartSplitter.Event> = []

  /** Reads on; fails with `Done` at the end of the body. */
  const more = Effect.gen(function* () {
    const pieces = yield* pull
    for (const piece of pieces) {
      size += piece.length
      if (size > limit) return yield* new BodyTooLarge({ limit, detail: `the body has more than ${limit} bytes` })
      events.push(...splitter.push(piece))
    }
  })

  const event: Effect.Effect<MultipartSplitter.Event, Problem> = Effect.suspend(() => {
    const next = events.shift()
    if (next !== undefined) return Effect.succeed(next)
    return more.pipe(
      Pull.catchDone(() => Effect.fail(new IncompleteBody({ detail: "the body ends before its closing boundary" }))),
      Effect.andThen(event)
    )
  })

  const content = Stream.fromPull(
    Effect.succeed(
      Effect.flatMap(
        event,
        (next): Pull.Pull<readonly [Uint8Array], Problem> =>
          next._tag === "Data" ? Effect.succeed([next.data]) : Cause.done()
      )
    )
  )

  const drain = Effect.forever(
    Effect.suspend(() => {
      events = []
      return more
    })
  ).pipe(Pull.catchDone(() => Effect.void))

  const next: MultipartBody["next"] = Effect.gen(function* () {
    if (ended) return undefined
    const found = yield* event
    switch (found._tag) {
      case "Head":
        return { head: yield* PartHead.decode(found.head), content }
      case "HeadTooLarge":
        return yield* new InvalidUpload({ detail: "the headers of a part are malformed: they are too long" })
      case "End":
        ended = true
        yield* drain
        return undefined
      default:
        return yield* Effect.die(new Error("a part was not read to its end"))
    }
  })
  return { next } satisfies MultipartBody
})
