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

/** The caller's id where it is valid, otherwise a new UUIDv7. */
export const requestIdFrom = (header: string | null | undefined): RequestId =>
  isRequestId(header) ? header : RequestId.make(uuidV7Unsafe())
