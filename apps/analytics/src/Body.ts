import { BodyTooLarge } from "@opsbuddy/contract/Problems"
import { Effect, Stream } from "effect"
import type { HttpServerRequest } from "effect/http"

/** A body that breaks off is a defect, as it is where effect reads the body, and the runtime tells the client. */
export const of = (request: HttpServerRequest.HttpServerRequest) => {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers
  // On Bun a request without a body has no stream.
  return Number(length ?? 0) > 0 || encoding !== undefined ? Stream.orDie(request.stream) : Stream.empty
}

/** So much is read before others get their turn: some hundreds of entries, which take some milliseconds. */
const sliceBytes = 16 * 1024

/** Hands a body of at most `maxBytes` over in slices, each followed by `check`. A slice is only good until `read` returns. */
export const forEachSlice = <E, E2>(
  body: Stream.Stream<Uint8Array, E>,
  maxBytes: number,
  read: (slice: Uint8Array) => void,
  check: Effect.Effect<void, E2>
): Effect.Effect<void, BodyTooLarge | E | E2> =>
  Effect.suspend(() => {
    let bytes = 0
    return Stream.runForEach(
      body,
      Effect.fnUntraced(function* (chunk: Uint8Array) {
        bytes += chunk.length
        if (bytes > maxBytes) return yield* tooLarge("the body", maxBytes)
        for (let start = 0; start < chunk.length; start += sliceBytes) {
          read(chunk.subarray(start, start + sliceBytes))
          yield* check
          yield* Effect.yieldNow
        }
      })
    )
  })

export const tooLarge = (what: string, limit: number) =>
  new BodyTooLarge({ detail: `${what} has more than ${limit} bytes`, limit })

/** Bytes that come in pieces, put together when they are whole. */
export const pieces = () => {
  let kept: Array<Uint8Array> = []
  let size = 0
  return {
    /** A copy, because the buffer may be used again for what comes next. */
    keep: (piece: Uint8Array) => {
      kept.push(piece.slice())
      size += piece.length
    },
    size: () => size,
    finish: (last: Uint8Array) => {
      const whole = kept.length === 0 ? last : Buffer.concat([...kept, last])
      kept = []
      size = 0
      return whole
    }
  }
}

/** Without the byte order mark that a body may begin with. */
export const withoutMark = (bytes: Uint8Array) =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
