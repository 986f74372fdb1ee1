/**
 * Which bits the values of a float field have: each is a multiple of `2 ** lowest`, and less than `2 ** highest`. A store keeps it so
 * that sums can be exact, and so the same each time, whatever the order in which threads add.
 */
export interface FloatRange {
  lowest: number
  highest: number
  /** Whether it has been widened since it was stored. */
  changed: boolean
}

/** That of a field without values, or with zeros alone. */
export const emptyRange = (): FloatRange => ({ lowest: 1024, highest: -1075, changed: false })

const float = new Float64Array(1)
const words = new Uint32Array(float.buffer)
/** In which of the two words the exponent is depends on the machine. */
const high = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0

const trailingZeros = (word: number) => 31 - Math.clz32(word & -word)

/** Widens the range so that it has the value in it. https://en.wikipedia.org/wiki/Double-precision_floating-point_format */
export const widen = (range: FloatRange, value: number) => {
  if (value === 0) return
  float[0] = value
  const upper = words[high] ?? 0
  const lower = words[1 - high] ?? 0
  const exponent = (upper >>> 20) & 0x7ff
  const zeros = lower !== 0 ? trailingZeros(lower) : 32 + trailingZeros((upper & 0xfffff) | 0x100000)
  const lowest = Math.max(exponent, 1) - 1075 + zeros
  const highest = exponent - 1022
  if (lowest >= range.lowest && highest <= range.highest) return
  if (lowest < range.lowest) range.lowest = lowest
  if (highest > range.highest) range.highest = highest
  range.changed = true
}

/** A sum adds at most `2 ** countBits` values, more than a store can have; so many bits are left of HUGEINT's. */
const countBits = 32
const partBits = 126 - countBits

/**
 * The SQL of an exact sum, rounded at its end, as DOUBLE. Integers of few bits are added as they are, other values as integers of
 * 64, 128 or twice 128 bits; only values of more than 40 orders of magnitude apart are sorted first, which is slow.
 */
export const sum = (value: string, { highest, lowest }: FloatRange) => {
  const width = highest - lowest
  if (width + countBits <= 53) return `sum(${value})`
  if (lowest < -1000 || highest > 1000 || width > 2 * partBits) return `sum(${value} ORDER BY ts, sid)`
  if (width <= 62) return sumOf(value, lowest, "BIGINT")
  if (width <= partBits) return sumOf(value, lowest, "HUGEINT")
  const middle = lowest + partBits
  const upper = `trunc(${value} * pow(2, ${-middle})) * pow(2, ${middle})`
  return `(${sumOf(upper, middle, "HUGEINT")} + ${sumOf(`(${value} - ${upper})`, lowest, "HUGEINT")})`
}

const sumOf = (value: string, lowest: number, type: "BIGINT" | "HUGEINT") =>
  `sum((${value} * pow(2, ${-lowest}))::${type})::DOUBLE * pow(2, ${lowest})`
