/** A JSON array as bytes, and how many elements it has. */
export interface Batch {
  readonly body: Uint8Array
  readonly records: number
}

/**
 * JSON texts that wait to be sent in batches, as bytes: they would otherwise live just long enough to burden the garbage
 * collector, one for each request.
 */
export interface Batches {
  /** `false` when as many wait as may. */
  readonly add: (text: string) => boolean
  /** The first batch, the same until it is removed, whatever is added meanwhile. */
  readonly oldest: () => Batch | undefined
  readonly removeOldest: () => void
  /** Texts in all batches. */
  readonly waiting: () => number
}

interface Growing {
  buffer: Buffer
  length: number
  records: number
  /** Somebody sends it: nothing is added any more. */
  isClosed: boolean
}

const [comma, opening, closing] = [0x2c, 0x5b, 0x5d]
/** Holds a batch of usual records; one with long paths gets a larger one. */
const usualBytes = 2 * 1024 * 1024
/** Buffers that are kept for the next batch, because memory that is taken and left all the time is collected all the time. */
const mostSpare = 2

const grow = (batch: Growing, needed: number) => {
  if (batch.length + needed <= batch.buffer.length) return
  const larger = Buffer.alloc(Math.max(2 * batch.buffer.length, batch.length + needed))
  batch.buffer.copy(larger, 0, 0, batch.length)
  batch.buffer = larger
}

const append = (batch: Growing, text: string) => {
  // A character takes at most three bytes; one more is for the comma or bracket before, one for the bracket at the end.
  grow(batch, text.length * 3 + 2)
  batch.buffer[batch.length++] = batch.records === 0 ? opening : comma
  batch.length += batch.buffer.write(text, batch.length)
  batch.records++
}

export const make = (capacity: number, batchSize: number): Batches => {
  const all: Array<Growing> = []
  const spare: Array<Buffer> = []
  let waiting = 0
  return {
    add: (text) => {
      if (waiting >= capacity) return false
      let last = all.at(-1)
      if (last === undefined || last.isClosed || last.records >= batchSize) {
        last = { buffer: spare.pop() ?? Buffer.alloc(usualBytes), length: 0, records: 0, isClosed: false }
        all.push(last)
      }
      append(last, text)
      waiting++
      return true
    },
    oldest: () => {
      const [first] = all
      if (first === undefined) return undefined
      if (!first.isClosed) {
        first.isClosed = true
        first.buffer[first.length++] = closing
      }
      return { body: first.buffer.subarray(0, first.length), records: first.records }
    },
    removeOldest: () => {
      const sent = all.shift()
      if (sent === undefined) return
      waiting -= sent.records
      if (spare.length < mostSpare && sent.buffer.length === usualBytes) spare.push(sent.buffer)
    },
    waiting: () => waiting
  }
}
