import { Schema } from "effect"

/**
 * Why the store did not do what it was asked.
 *
 * - `locked`: another process, or this one, has the file open; `pid` is the owner when the system tells it.
 * - `open`: the file cannot be opened or is not a database of a version that can be read.
 * - `migration`: a migration failed, or the file has been migrated by a newer version of the program.
 * - `statement`: a statement failed; `message` is the engine's text and may quote the statement.
 * - `closed`: the store is shutting down.
 */
export class ColumnarError extends Schema.TaggedError<ColumnarError>("@opsbuddy/columnar/ColumnarError")(
  "ColumnarError",
  {
    reason: Schema.Literals(["locked", "open", "migration", "statement", "closed"]),
    filename: Schema.String,
    message: Schema.String,
    pid: Schema.optionalKey(Schema.Int),
    cause: Schema.optionalKey(Schema.Defect())
  }
) {}
