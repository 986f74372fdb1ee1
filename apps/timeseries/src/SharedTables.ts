import type { FieldType } from "@opsbuddy/contract/Timeseries"

/**
 * The tables that measurements share: one a type, a row a value. A measurement with few fields and few points costs nothing
 * here but its rows; the engine would hold a block of memory for each column of a table of its own until the next checkpoint.
 */
export const sharedTypes = [
  "float",
  "integer",
  "unsigned",
  "string",
  "boolean"
] as const satisfies ReadonlyArray<FieldType>

/** The engine's type for values of each type. */
export const columnTypes: Record<FieldType, string> = {
  float: "DOUBLE",
  integer: "BIGINT",
  unsigned: "UBIGINT",
  string: "VARCHAR",
  boolean: "BOOLEAN"
}

/** The table of a type, with the columns `ts` (nanoseconds since 1970), `sid` (series), `fid` (field) and `v`. */
export const sharedTable = (type: FieldType) => `values_${type}`

export const createSharedTables = sharedTypes
  .map((type) => `CREATE TABLE ${sharedTable(type)} (ts BIGINT, sid INTEGER, fid INTEGER, v ${columnTypes[type]});`)
  .join("\n")
