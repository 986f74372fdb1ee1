import type { FieldType } from "@opsbuddy/contract/Timeseries"

/** A value and what the line says it is: integers and unsigned come as `bigint`, floats as finite numbers. */
export type FieldValue = number | bigint | string | boolean

export interface Field {
  readonly name: string
  readonly type: FieldType
  readonly value: FieldValue
}

/** The tags of a series, sorted by name. Two series are the same when their `key` is. */
export interface Tags {
  readonly key: string
  readonly entries: ReadonlyArray<readonly [name: string, value: string]>
}

/** `time` is in nanoseconds since 1970; `line` is where the point stands in its batch, from 1. A later field of the same name wins. */
export interface Point {
  readonly line: number
  readonly measurement: string
  readonly tags: Tags
  readonly time: bigint
  readonly fields: ReadonlyArray<Field>
}

/** A line that cannot be stored, and why. */
export interface InvalidLine {
  readonly line: number
  readonly message: string
}

/** The most invalid lines that a response names. */
export const maxInvalidLines = 100

export const makeTags = (entries: ReadonlyArray<readonly [string, string]>): Tags => {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return { key: JSON.stringify(sorted), entries: sorted }
}
