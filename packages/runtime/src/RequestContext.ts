import { RequestId } from "@opsbuddy/contract/Problems"
import { Context, Schema } from "effect"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"

/** What ties together all that happens for one request. `trace` is the caller's, from `traceparent`. */
export class RequestContext extends Context.Reference<
  | {
      readonly requestId: RequestId
      readonly trace?: { readonly traceId: string; readonly spanId: string } | undefined
    }
  | undefined
>("@opsbuddy/runtime/RequestContext", { defaultValue: () => undefined }) {}

export const requestIdHeader = "x-request-id"

const isRequestId = Schema.is(RequestId)

/** Bun's own takes a quarter of the time, and each request may need one. */
const newId = typeof Bun === "undefined" ? uuidV7Unsafe : () => Bun.randomUUIDv7()

/** The caller's id where it is valid, otherwise a new UUIDv7. */
export const requestIdFrom = (header: string | null | undefined): RequestId =>
  // Nothing is checked that need not be: a UUID has nothing but what is allowed.
  typeof header === "string" && isRequestId(header) ? header : (newId() as RequestId)
