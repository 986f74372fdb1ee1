import { type DuckDBDataChunk, DuckDBTypeId, type JS, JSDuckDBValueConverter } from "@duckdb/node-api"
import duckdb, { type Vector } from "@duckdb/node-bindings"

/** The values of one column, in the order of the rows. */
export type ColumnOut = ArrayLike<JS>

/**
 * Copies a column out of the engine. BIGINT, UBIGINT, DOUBLE and INTEGER without missing values come as `BigInt64Array`, `BigUint64Array`,
 * `Float64Array` and `Int32Array`; everything else as an array with `null` where a value is missing.
 */
export const column = (chunk: DuckDBDataChunk, index: number): ColumnOut => {
  const vector = duckdb.data_chunk_get_vector(chunk.chunk, index)
  const read = readers.get(duckdb.get_type_id(duckdb.vector_get_column_type(vector)))
  if (read === undefined) return chunk.convertColumnValues(index, JSDuckDBValueConverter)
  const count = chunk.rowCount
  const items = read(copy(vector, count, bytesOf(read)))
  const validity = duckdb.vector_get_validity(vector, Math.ceil(count / 64) * 8)
  return validity === null ? items : withNulls(items, validity, count)
}

type Items = BigInt64Array | BigUint64Array | Float64Array | Int32Array
type Read = (bytes: ArrayBuffer) => Items

const ofBigInts: Read = (bytes) => new BigInt64Array(bytes)
const ofUnsigned: Read = (bytes) => new BigUint64Array(bytes)
const ofDoubles: Read = (bytes) => new Float64Array(bytes)
const ofIntegers: Read = (bytes) => new Int32Array(bytes)

const readers: ReadonlyMap<number, Read> = new Map([
  [DuckDBTypeId.BIGINT, ofBigInts],
  [DuckDBTypeId.UBIGINT, ofUnsigned],
  [DuckDBTypeId.DOUBLE, ofDoubles],
  [DuckDBTypeId.INTEGER, ofIntegers]
])

const bytesOf = (read: Read) => (read === ofIntegers ? 4 : 8)

/** The engine reuses the memory of a vector, so its values are copied. */
const copy = (vector: Vector, count: number, bytes: number): ArrayBuffer => {
  const target = new Uint8Array(count * bytes)
  target.set(duckdb.vector_get_data(vector, target.byteLength))
  return target.buffer
}

const withNulls = (items: Items, validity: Uint8Array, count: number): ColumnOut => {
  const isNull = (row: number) => ((validity[row >> 3] ?? 255) & (1 << (row & 7))) === 0
  let hasNulls = false
  for (let row = 0; row < count && !hasNulls; row++) hasNulls = isNull(row)
  return hasNulls ? Array.from({ length: count }, (_, row) => (isNull(row) ? null : (items[row] ?? null))) : items
}
