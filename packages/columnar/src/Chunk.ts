import { DuckDBDataChunk, type DuckDBType, DuckDBTypeId } from "@duckdb/node-api"
import duckdb, { type Vector } from "@duckdb/node-bindings"
import type { Value } from "./Connection.ts"

/** The engine's vector size, which a chunk may not exceed. */
export const maxRows = 2048

/**
 * The values of a column, one for each row. Typed arrays are copied as they are: `BigInt64Array` is for BIGINT, `BigUint64Array`
 * for UBIGINT, `Float64Array` for DOUBLE, `Int32Array` for INTEGER, `Uint8Array` of 0 and 1 for BOOLEAN.
 */
export type ColumnValues =
  | ReadonlyArray<Value>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>

/** Where some values of a typed array are missing, `nulls` has a 1 for each of these rows. */
export type Column = ColumnValues | { readonly values: ColumnValues; readonly nulls: Uint8Array }

/** The rows from `start` on of these columns as a chunk of the engine's vectors; at most `maxRows`. */
export const ofColumns = (
  types: ReadonlyArray<DuckDBType>,
  columns: ReadonlyArray<Column>,
  start: number,
  count: number
): DuckDBDataChunk => {
  const chunk = DuckDBDataChunk.create(types, count)
  for (const [index, type] of types.entries()) {
    const column = columns[index] ?? []
    const { nulls, values } = "values" in column && "nulls" in column ? column : { values: column, nulls: undefined }
    if (values.length < start + count)
      throw new RangeError(`column ${index} has ${values.length} values, not ${start + count}`)
    writeColumn(chunk, index, type, { values, nulls, start, count })
  }
  return chunk
}

/** The rows as a chunk; a row has a value for each type, and there are at most `maxRows`. */
export const ofRows = (
  types: ReadonlyArray<DuckDBType>,
  rows: ReadonlyArray<ReadonlyArray<Value>>
): DuckDBDataChunk => {
  const chunk = DuckDBDataChunk.create(types, rows.length)
  for (const [index, type] of types.entries()) {
    const values = rows.map((row) => row[index] ?? null)
    writeColumn(chunk, index, type, { values, nulls: undefined, start: 0, count: rows.length })
  }
  return chunk
}

/** Some rows of a column. */
interface Slice {
  readonly values: ColumnValues
  readonly nulls: Uint8Array | undefined
  readonly start: number
  readonly count: number
}

/** As a whole where the type has a writer, in a third of the time that `chunk.setColumnValues` takes. */
const writeColumn = (chunk: DuckDBDataChunk, index: number, type: DuckDBType, slice: Slice) => {
  const write = writers.get(type.typeId)
  if (write === undefined) {
    const values = Array.from({ length: slice.count }, (_, row) => valueAt(slice, row))
    chunk.setColumnValues(index, values)
    return
  }
  const vector = duckdb.data_chunk_get_vector(chunk.chunk, index)
  write(vector, slice)
  writeValidity(vector, slice)
}

const valueAt = ({ nulls, start, values }: Slice, row: number): Value =>
  nulls?.[start + row] === 1 ? null : (values[start + row] ?? null)

type Write = (vector: Vector, slice: Slice) => void

const wrongType = (value: unknown, type: string) => new TypeError(`${typeof value} in a column of type ${type}`)

/** The value, where it fits BIGINT, which has 64 bits and a sign; throws a `RangeError` where it does not. */
export const int64 = (value: bigint) => {
  if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} does not fit 64 bits`)
  return value
}

const uint64 = (value: bigint) => {
  if (BigInt.asUintN(64, value) !== value) throw new RangeError(`${value} does not fit 64 bits without a sign`)
  return value
}

type Words =
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>

const copy = (vector: Vector, items: Words) =>
  duckdb.copy_data_to_vector(vector, 0, items.buffer, items.byteOffset, items.byteLength)

/** Copies a typed array of the column's own kind; otherwise fills `items` a value at a time, missing ones left as they are. */
const fixed =
  <Items extends Words>(
    make: (count: number) => Items,
    isOwn: (values: ColumnValues) => values is Items,
    set: (items: Items, row: number, value: NonNullable<Value>) => void
  ): Write =>
  (vector, slice) => {
    const { count, start, values } = slice
    if (isOwn(values)) {
      duckdb.copy_data_to_vector(
        vector,
        0,
        values.buffer,
        values.byteOffset + start * values.BYTES_PER_ELEMENT,
        count * values.BYTES_PER_ELEMENT
      )
      return
    }
    const items = make(count)
    for (let row = 0; row < count; row++) {
      const value = valueAt(slice, row)
      if (value !== null) set(items, row, value)
    }
    copy(vector, items)
  }

const writeBigInts = fixed(
  (count) => new BigInt64Array(count),
  (values) => values instanceof BigInt64Array,
  (items, row, value) => {
    if (typeof value === "bigint") items[row] = int64(value)
    else if (typeof value === "number" && Number.isSafeInteger(value)) items[row] = BigInt(value)
    else throw wrongType(value, "BIGINT")
  }
)

const writeUnsigned = fixed(
  (count) => new BigUint64Array(count),
  (values) => values instanceof BigUint64Array,
  (items, row, value) => {
    if (typeof value === "bigint") items[row] = uint64(value)
    else if (typeof value === "number" && Number.isSafeInteger(value)) items[row] = uint64(BigInt(value))
    else throw wrongType(value, "UBIGINT")
  }
)

const writeDoubles = fixed(
  (count) => new Float64Array(count),
  (values) => values instanceof Float64Array,
  (items, row, value) => {
    if (typeof value !== "number") throw wrongType(value, "DOUBLE")
    items[row] = value
  }
)

const writeIntegers = fixed(
  (count) => new Int32Array(count),
  (values) => values instanceof Int32Array,
  (items, row, value) => {
    const number = typeof value === "bigint" ? Number(value) : value
    if (typeof number !== "number") throw wrongType(value, "INTEGER")
    if ((number | 0) !== number) throw new RangeError(`${value} is not an integer of 32 bits`)
    items[row] = number
  }
)

const writeBooleans = fixed(
  (count) => new Uint8Array(count),
  (values) => values instanceof Uint8Array,
  (items, row, value) => {
    if (typeof value !== "boolean") throw wrongType(value, "BOOLEAN")
    items[row] = value ? 1 : 0
  }
)

/** Bytes of a `duckdb_string_t`, which holds a short string or where a longer one is: https://duckdb.org/docs/stable/clients/c/vector */
const stringBytes = 16

/** After so many rows it is known whether strings of a column repeat. */
const sample = 128

/**
 * Gives the engine each string once, at its first row, and copies the entry of that row to those where it comes again: the
 * vector owns the strings, whichever of its entries point there.
 */
const writeStrings: Write = (vector, slice) => {
  const firsts = new Map<string, number>()
  const copies = new Uint16Array(slice.count)
  let hasCopies = false
  let doRepeat = true
  for (let row = 0; row < slice.count; row++) {
    const value = valueAt(slice, row)
    copies[row] = row
    if (value === null) continue
    if (typeof value !== "string") throw wrongType(value, "VARCHAR")
    const first = doRepeat ? firsts.get(value) : undefined
    if (first === undefined) {
      duckdb.vector_assign_string_element(vector, row, value)
      if (doRepeat) firsts.set(value, row)
    } else {
      copies[row] = first
      hasCopies = true
    }
    if (row === sample) doRepeat = firsts.size < sample / 2
  }
  if (!hasCopies) return
  const entries = new Uint32Array((slice.count * stringBytes) / 4)
  new Uint8Array(entries.buffer).set(duckdb.vector_get_data(vector, entries.byteLength))
  for (let row = 0; row < slice.count; row++) {
    const first = copies[row] ?? row
    if (first === row) continue
    for (let word = 0; word < 4; word++) entries[4 * row + word] = entries[4 * first + word] ?? 0
  }
  duckdb.copy_data_to_vector(vector, 0, entries.buffer, 0, entries.byteLength)
}

const writers: ReadonlyMap<DuckDBTypeId, Write> = new Map([
  [DuckDBTypeId.BIGINT, writeBigInts],
  [DuckDBTypeId.UBIGINT, writeUnsigned],
  [DuckDBTypeId.DOUBLE, writeDoubles],
  [DuckDBTypeId.INTEGER, writeIntegers],
  [DuckDBTypeId.BOOLEAN, writeBooleans],
  [DuckDBTypeId.VARCHAR, writeStrings]
])

/** A bit for each row, in words of 64; without them all rows are valid. */
const writeValidity: Write = (vector, slice) => {
  if (slice.nulls === undefined && !Array.isArray(slice.values)) return
  let bits: Uint8Array<ArrayBuffer> | undefined
  for (let row = 0; row < slice.count; row++) {
    if (valueAt(slice, row) !== null) continue
    bits ??= new Uint8Array(Math.ceil(slice.count / 64) * 8).fill(255)
    bits[row >> 3] = (bits[row >> 3] ?? 0) & ~(1 << (row & 7))
  }
  if (bits === undefined) return
  duckdb.vector_ensure_validity_writable(vector)
  duckdb.copy_data_to_vector_validity(vector, 0, bits.buffer, 0, bits.byteLength)
}
