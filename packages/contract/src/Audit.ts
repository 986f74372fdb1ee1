import { Schema } from "effect"
import { Principal } from "./Identity.ts"
import { RequestId } from "./Problems.ts"
import { Timestamp } from "./Wire.ts"

/**
 * One thing that somebody did. The entries of a service are a hash chain: `hash` is the SHA-256, in lower-case hexadecimal, of
 * the entry before's hash and this entry without `hash`, so that an entry that is changed or removed is noticed.
 */
export const AuditEntry = Schema.Struct({
  /** From 1, without gaps. */
  sequence: Schema.Int,
  timestamp: Timestamp,
  principal: Schema.Struct({ subject: Schema.String, kind: Principal.fields.kind }),
  /** `<domain>.<verb>`, such as `gateway.force`. */
  action: Schema.String,
  /** What it was done to. */
  resource: Schema.String,
  reason: Schema.optionalKey(Schema.String),
  detail: Schema.optionalKey(Schema.Json),
  requestId: Schema.optionalKey(RequestId),
  hash: Schema.String
})
export type AuditEntry = typeof AuditEntry.Type
