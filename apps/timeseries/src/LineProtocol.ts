import { Effect } from "effect"
import { earliest, latest } from "./Moment.ts"
import { type Field, type InvalidLine, makeTags, maxInvalidLines, type Point, type Tags } from "./Point.ts"

export type Precision = "ns" | "us" | "ms" | "s"

export interface Parsed {
  readonly points: ReadonlyArray<Point>
  readonly invalid: ReadonlyArray<InvalidLine>
}

const nanosecondsOf: Record<Precision, bigint> = { ns: 1n, us: 1_000n, ms: 1_000_000n, s: 1_000_000_000n }
const int64 = 2n ** 63n
const uint64 = 2n ** 64n
const longestName = 256

/** InfluxDB's limits: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/ and its longest series key. */
const maxStringLength = 65_536
const maxHeadLength = 65_535

const tab = 9
const newline = 10
const carriageReturn = 13
const space = 32
const quote = 34
const hash = 35
const comma = 44
const equals = 61
const backslash = 92

/** So many lines are read between two turns of the event loop: some milliseconds. */
const slice = 2000

/**
 * Reads InfluxDB line protocol, and lets other work run in between. Empty lines and those that start with `#` are skipped; a quoted
 * value may contain line ends. A point without a time is at `now`. Stops after the first 100 invalid lines.
 * https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
 */
export const parse = Effect.fnUntraced(function* (text: string, precision: Precision, now: bigint) {
  const points: Array<Point> = []
  const invalid: Array<InvalidLine> = []
  const heads = new Map<string, Head | string>()
  const unit = nanosecondsOf[precision]
  let line = 1
  let start = 0
  for (let count = 1; start < text.length && invalid.length < maxInvalidLines; count++) {
    if (count % slice === 0) yield* Effect.yieldNow
    const begin = skipBlanks(text, start)
    const result = isBlank(text, begin) ? lineEnd(text, begin) : parseLine(text, begin, line, heads, unit, now)
    let end: number
    if (typeof result === "string") {
      invalid.push({ line, message: result })
      end = lineEnd(text, begin)
    } else if (typeof result === "number") {
      end = result
    } else {
      points.push(result.point)
      end = result.end
    }
    for (let at = text.indexOf("\n", start); at !== -1 && at < end; at = text.indexOf("\n", at + 1)) line++
    line++
    start = end + 1
  }
  return { points, invalid } satisfies Parsed
})

/** The measurement and tags that a line begins with, which many lines share. */
interface Head {
  readonly measurement: string
  readonly tags: Tags
}

const parseLine = (
  text: string,
  begin: number,
  line: number,
  heads: Map<string, Head | string>,
  unit: bigint,
  now: bigint
): { readonly point: Point; readonly end: number } | string => {
  const headEnd = find(text, begin, space, newline)
  if (headEnd - begin > maxHeadLength) return `the measurement and its tags have more than ${maxHeadLength} characters`
  const raw = text.slice(begin, headEnd)
  let head = heads.get(raw)
  if (head === undefined) {
    head = parseHead(raw.endsWith("\r") ? raw.slice(0, -1) : raw)
    heads.set(raw, head)
  }
  if (typeof head === "string") return head
  const fields: Array<Field> = []
  const fieldsEnd = parseFields(text, skipBlanks(text, headEnd), fields)
  if (typeof fieldsEnd === "string") return fieldsEnd
  const end = lineEnd(text, fieldsEnd)
  const timestamp = text.slice(fieldsEnd, end).trim()
  const time = timestamp === "" ? now : parseTime(timestamp, unit)
  if (typeof time === "string") return time
  return { point: { line, measurement: head.measurement, tags: head.tags, time, fields }, end }
}

const parseHead = (raw: string): Head | string => {
  let at = find(raw, 0, comma, comma)
  const measurement = unescape(raw.slice(0, at))
  const wrongMeasurement = checkName("measurement", measurement)
  if (wrongMeasurement !== undefined) return wrongMeasurement
  const entries: Array<readonly [string, string]> = []
  const names = new Set<string>()
  while (at < raw.length) {
    const end = find(raw, at + 1, comma, comma)
    const separator = find(raw.slice(0, end), at + 1, equals, equals)
    const name = unescape(raw.slice(at + 1, separator))
    const value = unescape(raw.slice(separator + 1, end))
    const wrong = checkName("tag", name)
    if (wrong !== undefined) return wrong
    if (separator === end || value === "") return `tag "${name}" has no value`
    if (find(raw.slice(0, end), separator + 1, equals, equals) !== end) {
      return `tag "${name}" has an = in its value that is not escaped`
    }
    if (names.has(name)) return `tag "${name}" is there twice`
    names.add(name)
    entries.push([name, value])
    at = end
  }
  return { measurement, tags: makeTags(entries) }
}

/** Adds the fields that begin at `start`, and answers where they end. */
const parseFields = (text: string, start: number, fields: Array<Field>): number | string => {
  let at = start
  while (true) {
    const separator = findFieldSeparator(text, at)
    if (text.charCodeAt(separator) !== equals) {
      return fields.length === 0 && isEnd(text, at)
        ? "there are no fields"
        : `field "${text.slice(at, separator).trim()}" has no value`
    }
    const name = unescape(text.slice(at, separator))
    const wrong = checkName("field", name)
    if (wrong !== undefined) return wrong
    let end: number
    if (text.charCodeAt(separator + 1) === quote) {
      end = quoteEnd(text, separator + 2)
      if (end === -1) return `field "${name}" has a string without a closing quote`
      if (end - separator > maxStringLength)
        return `field "${name}" has a string of more than ${maxStringLength} characters`
      fields.push({ name, type: "string", value: unquote(text.slice(separator + 2, end)) })
      end++
    } else {
      end = valueEnd(text, separator + 1)
      const field = parseValue(name, text.slice(separator + 1, end))
      if (typeof field === "string") return field
      fields.push(field)
    }
    const next = text.charCodeAt(end)
    if (next === comma) at = end + 1
    else if (next === space || isEnd(text, end)) return end
    else return `field "${name}" has something after its closing quote`
  }
}

const booleans = new Map<string, boolean>([
  ...["t", "T", "true", "True", "TRUE"].map((word) => [word, true] as const),
  ...["f", "F", "false", "False", "FALSE"].map((word) => [word, false] as const)
])

const floatPattern = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const integerPattern = /^[+-]?\d{1,20}$/

const parseValue = (name: string, text: string): Field | string => {
  const last = text.at(-1)
  if (last === "i" || last === "u") {
    const digits = text.slice(0, -1)
    if (integerPattern.test(digits)) {
      const value = BigInt(digits.startsWith("+") ? digits.slice(1) : digits)
      if (last === "i" && value < int64 && value >= -int64) return { name, type: "integer", value }
      if (last === "u" && value < uint64 && value >= 0n) return { name, type: "unsigned", value }
      return `field "${name}" has ${text}, which does not fit 64 bits`
    }
  } else if (floatPattern.test(text)) {
    const value = Number(text)
    return Number.isFinite(value)
      ? { name, type: "float", value }
      : `field "${name}" has ${text}, which is out of range`
  }
  const value = booleans.get(text)
  if (value !== undefined) return { name, type: "boolean", value }
  return text === ""
    ? `field "${name}" has no value`
    : `field "${name}" has ${text}, which is no number, boolean or quoted string`
}

const parseTime = (text: string, unit: bigint): bigint | string => {
  if (!/^-?\d{1,19}$/.test(text)) return `the time ${text} is not an integer of at most 19 digits`
  const time = BigInt(text) * unit
  return time >= earliest && time < latest ? time : `the time ${text} is not between the years 1677 and 2262`
}

const checkName = (what: string, name: string) => {
  if (name === "") return `a ${what} has no name`
  return name.length > longestName ? `the ${what} name is longer than ${longestName} characters` : undefined
}

/** As InfluxDB does before a line; between its parts a tab is no separator, but may follow the space. */
const skipBlanks = (text: string, start: number) => {
  let at = start
  while (text.charCodeAt(at) === space || text.charCodeAt(at) === tab) at++
  return at
}

/** Where the line's text ends: at its line feed, or at the end of all. */
const lineEnd = (text: string, start: number) => {
  const at = text.indexOf("\n", start)
  return at === -1 ? text.length : at
}

const isEnd = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at)
  return at >= text.length || code === newline || (code === carriageReturn && isEnd(text, at + 1))
}

const isBlank = (text: string, at: number) => isEnd(text, at) || text.charCodeAt(at) === hash

const isEscapable = (code: number) => code === comma || code === equals || code === space

/** The next `a` or `b` without a backslash before it, or the end. */
const find = (text: string, start: number, a: number, b: number) => {
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === a || code === b) return at
    if (code === backslash && isEscapable(text.charCodeAt(at + 1))) at++
  }
  return text.length
}

const findFieldSeparator = (text: string, start: number) => {
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === equals || code === comma || code === space || code === newline) return at
    if (code === backslash && isEscapable(text.charCodeAt(at + 1))) at++
  }
  return text.length
}

const valueEnd = (text: string, start: number) => {
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === comma || code === space || isEnd(text, at)) return at
  }
  return text.length
}

const quoteEnd = (text: string, start: number) => {
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) return at
    if (code === backslash) at++
  }
  return -1
}

const unescape = (text: string) => (text.includes("\\") ? text.replace(/\\([,= ])/g, "$1") : text)

const unquote = (text: string) => (text.includes("\\") ? text.replace(/\\(["\\])/g, "$1") : text)
