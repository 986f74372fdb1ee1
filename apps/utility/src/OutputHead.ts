import type { CommandOutput } from "@opsbuddy/contract/Utility"

/** Takes a stream of bytes and keeps the first of them. */
export interface OutputHead {
  readonly push: (chunk: Uint8Array) => void
  /** How many bytes there have been. */
  readonly bytes: () => number
  /**
   * What was kept, as UTF-8: what is not valid UTF-8 becomes U+FFFD, and a character that the cap cuts in two is left out.
   * The same for the same bytes, whatever chunks they came in.
   */
  readonly output: () => typeof CommandOutput.Type
}

const firstCapacity = 4096

/** Keeps `keepBytes` at the most; memory grows with what is kept and not with what was pushed. */
export const make = (keepBytes: number): OutputHead => {
  let kept = new Uint8Array(Math.min(firstCapacity, keepBytes))
  let length = 0
  let bytes = 0
  return {
    push: (chunk) => {
      bytes += chunk.length
      // Copied, because a small chunk can hold on to a large buffer of the runtime.
      const taken = chunk.subarray(0, keepBytes - length)
      if (length + taken.length > kept.length) kept = grown(kept, Math.min(keepBytes, 2 * (length + taken.length)))
      kept.set(taken, length)
      length += taken.length
    },
    bytes: () => bytes,
    output: () => {
      const truncated = bytes > length
      const whole = truncated ? wholeCharacters(kept, length) : length
      // `ignoreBOM` keeps a byte order mark instead of swallowing it.
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(kept.subarray(0, whole))
      return { text, bytes, truncated }
    }
  }
}

const grown = (kept: Uint8Array, capacity: number) => {
  const larger = new Uint8Array(capacity)
  larger.set(kept)
  return larger
}

/** How many bytes of one character a lead byte announces; 1 for what is not a lead byte. */
const characterLength = (lead: number) => {
  if (lead >= 0xf0 && lead <= 0xf4) return 4
  if (lead >= 0xe0 && lead <= 0xef) return 3
  return lead >= 0xc2 && lead <= 0xdf ? 2 : 1
}

/** The length without a character at the end that has begun and is not complete. */
const wholeCharacters = (bytes: Uint8Array, length: number) => {
  for (let at = length - 1; at >= Math.max(0, length - 3); at--) {
    const byte = bytes[at] ?? 0
    if (byte >= 0x80 && byte <= 0xbf) continue
    return at + characterLength(byte) > length ? at : length
  }
  return length
}
