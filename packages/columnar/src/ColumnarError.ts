import { Effect, Schema } from "effect"

/**
 * Why the store did not do what it was asked.
 *
 * - `locked`: another process, or this one, has the file open; `pid` is the owner when the system tells it.
 * - `open`: the file cannot be opened or is not a database of a version that can be read.
 * - `migration`: a migration failed, or the file has been migrated by a newer version of the program.
 * - `statement`: a statement failed for its own faults; `message` is the engine's text and may quote the statement.
 * - `memory`: the statement or transaction needs more memory than the engine may take; `message` names the limit.
 * - `full`: the disk is full. Reads go on.
 * - `unavailable`: the engine has failed and the store reopens it; the same call may succeed later.
 * - `closed`: the store is shutting down.
 */
export class ColumnarError extends Schema.TaggedError<ColumnarError>("@opsbuddy/columnar/ColumnarError")(
  "ColumnarError",
  {
    reason: Schema.Literals(["locked", "open", "migration", "statement", "memory", "full", "unavailable", "closed"]),
    filename: Schema.String,
    /** A sentence for operators without a full stop. */
    message: Schema.String,
    /** Whether the transaction was applied: `unknown` where the store closed before it could find out. */
    applied: Schema.Literals(["no", "unknown"]).pipe(Schema.withConstructorDefault(Effect.succeed("no" as const))),
    pid: Schema.optionalKey(Schema.Int),
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  /** Whether it is the store that fails rather than this one statement, so that the next one would fail as well. */
  get isOutage() {
    return this.reason === "full" || this.reason === "unavailable" || this.reason === "closed"
  }
}
