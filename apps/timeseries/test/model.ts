import * as Moment from "../src/Moment.ts"

/** A point of a series by host. `float` is in eighths, so that its sums are exact in any order. */
export interface Sample {
  readonly host: string
  readonly time: number
  readonly float?: number
  readonly integer?: number
  readonly batch: number
}

/** A sample always has the field `x`, because a point without any field cannot be written. */
export const toLine = (measurement: string, { float, host, integer, time }: Sample) => {
  const fields = [
    "x=t",
    float === undefined ? "" : `float=${float / 8}`,
    integer === undefined ? "" : `integer=${integer}i`
  ]
  return `${measurement.replaceAll(" ", "\\ ")},host=${host} ${fields.filter((field) => field !== "").join()} ${time}`
}

interface Options {
  readonly field: "float" | "integer"
  readonly every: bigint | undefined
  readonly byHost: boolean
  readonly from: bigint
  readonly to: bigint
}

interface Value {
  readonly host: string
  readonly time: bigint
  readonly value: bigint
}

/** Mean, sum, min, max, count, first and last of a field, by window and host, computed the slow and obvious way. */
export const answer = (samples: ReadonlyArray<Sample>, { byHost, every, field, from, to }: Options) => {
  const hosts = [...new Set(samples.map((sample) => sample.host))]
  const latest = new Map<string, Value>()
  for (const { [field]: value, host, time } of samples) {
    if (value !== undefined) latest.set(`${host} ${time}`, { host, time: BigInt(time), value: BigInt(value) })
  }
  const values = [...latest.values()]
    .filter(({ time }) => time >= from && time < to)
    .sort((a, b) => Number(a.time - b.time) || hosts.indexOf(a.host) - hosts.indexOf(b.host))
  const windowOf = (time: bigint) => (every === undefined ? from : time - (((time % every) + every) % every))
  const groups = Map.groupBy(values, ({ host }) => (byHost ? host : ""))
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([tags, values]) => [
      tags,
      ...[...Map.groupBy(values, ({ time }) => windowOf(time))].map(([start, window]) => [
        Moment.format(start),
        ...aggregates(
          window.map(({ value }) => value),
          field
        )
      ])
    ])
}

const aggregates = (values: ReadonlyArray<bigint>, field: Options["field"]) => {
  const sum = values.reduce((sum, value) => sum + value, 0n)
  const sorted = values.toSorted((a, b) => (a < b ? -1 : 1))
  const shown = (value: bigint | undefined) => {
    const number = Number(value)
    if (field === "float") return number / 8
    return Number.isSafeInteger(number) ? number : String(value)
  }
  const mean = Number(sum) / values.length / (field === "float" ? 8 : 1)
  return [
    mean,
    shown(sum),
    shown(sorted[0]),
    shown(sorted.at(-1)),
    values.length,
    shown(values[0]),
    shown(values.at(-1))
  ]
}
