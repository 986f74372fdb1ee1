import { Result } from "effect"

/** Checks that much at once where it looks for the first wrong byte. */
const chunkBytes = 64 * 1024

const strictly = (bytes: Uint8Array) => Result.try(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes))

/** The text without a byte order mark in front, or the offset of the first character that is no UTF-8. */
export const decode = (bytes: Uint8Array): Result.Result<string, number> =>
  Result.mapError(strictly(bytes), () => firstInvalid(bytes))

const isContinuation = (byte: number | undefined) => byte !== undefined && (byte & 0xc0) === 0x80

/** Where the first character begins that is wrong, or that the end has cut. */
const firstInvalid = (bytes: Uint8Array) => {
  const all = new TextDecoder("utf-8", { fatal: true })
  let chunk = 0
  while (chunk < bytes.length && goesOn(all, bytes.subarray(chunk, chunk + chunkBytes))) chunk += chunkBytes
  // A character that began in the chunk before may go wrong in this one.
  let start = Math.max(0, Math.min(chunk, bytes.length) - 4)
  while (start > 0 && isContinuation(bytes[start])) start--
  const end = lastThatGoesOn(bytes, start, Math.min(bytes.length, chunk + chunkBytes))
  for (let at = end; at > start; at--) if (Result.isSuccess(strictly(bytes.subarray(start, at)))) return at
  return start
}

const goesOn = (decoder: TextDecoder, bytes: Uint8Array) =>
  Result.isSuccess(Result.try(() => decoder.decode(bytes, { stream: true })))

/** The most bytes from `start` on, which begins a character, that could go on as UTF-8; by halving. */
const lastThatGoesOn = (bytes: Uint8Array, start: number, end: number) => {
  let [good, bad] = [start, end + 1]
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (goesOn(new TextDecoder("utf-8", { fatal: true }), bytes.subarray(start, middle))) good = middle
    else bad = middle
  }
  return good
}
