import { Context, Layer } from "effect"
import * as AccountText from "./AccountText.ts"

/**
 * The last requests as `AccountText.account` writes them, as many as `capacity` and as fit `bytes`, whichever is less. They are
 * text in one buffer: objects in such a number would cost the garbage collector more than all else that a request costs.
 */
export interface RequestLog {
  readonly add: (text: string) => void
  /** The newest request with this id, because clients may use an id again. */
  readonly get: (requestId: string) => AccountText.AccountEncoded | undefined
  /** Newest first, from `before` on (a position that an entry was given with) or from the end. */
  readonly newest: (before?: number) => Iterable<readonly [position: number, account: AccountText.AccountEncoded]>
  readonly size: () => { readonly requests: number; readonly bytes: number }
}

/** A character of a string takes at most three bytes of UTF-8. */
const mostBytes = (text: string) => text.length * 3

export const make = (capacity: number, bytes: number): RequestLog => {
  const buffer = Buffer.alloc(bytes)
  const starts = new Float64Array(capacity)
  const lengths = new Uint32Array(capacity)
  // Entries from `oldest` to `next` are there; `at` is where the next one is written.
  let oldest = 0
  let next = 0
  let at = 0
  let held = 0

  const forgetOldest = () => {
    held -= lengths[oldest++ % capacity] ?? 0
  }

  /** Frees the bytes from `from` on, which those of the oldest entries are. */
  const free = (from: number, to: number) => {
    while (oldest < next) {
      const start = starts[oldest % capacity] ?? 0
      if (start + (lengths[oldest % capacity] ?? 0) <= from || start >= to) return
      forgetOldest()
    }
  }

  const read = (position: number): AccountText.AccountEncoded => {
    const start = starts[position % capacity] ?? 0
    // Written by `add`, whose callers have it from `AccountText.account`.
    return JSON.parse(buffer.toString("utf8", start, start + (lengths[position % capacity] ?? 0)))
  }

  return {
    add: (text) => {
      const most = mostBytes(text)
      if (most > bytes) return
      if (at + most > bytes) {
        // The rest of the buffer stays empty; what is there is the oldest.
        free(at, bytes)
        at = 0
      }
      free(at, at + most)
      if (next - oldest >= capacity) forgetOldest()
      const written = buffer.write(text, at)
      starts[next % capacity] = at
      lengths[next % capacity] = written
      next++
      at += written
      held += written
    },
    // A walk takes some milliseconds, and people ask seldom; an index would cost every request.
    get: (requestId) => {
      const wanted = Buffer.from(`${AccountText.beginning(requestId)},`)
      for (let position = next - 1; position >= oldest; position--) {
        const start = starts[position % capacity] ?? 0
        if (buffer.compare(wanted, 0, wanted.length, start, start + wanted.length) === 0) return read(position)
      }
      return undefined
    },
    newest: function* (before = next) {
      for (let position = Math.min(before, next) - 1; position >= oldest; position--) yield [position, read(position)]
    },
    size: () => ({ requests: next - oldest, bytes: held })
  }
}

/** The gateway's own account of its last requests. */
export class Requests extends Context.Service<Requests, RequestLog>()("@opsbuddy/gateway/Requests") {
  static readonly layer = (capacity: number, bytes: number) => Layer.sync(Requests, () => make(capacity, bytes))
}
