import type { ColumnarError } from "@opsbuddy/columnar/ColumnarError"
import { StoreUnavailable } from "@opsbuddy/contract/Problems"
import { Effect } from "effect"

/** What went wrong is for the log; the caller learns that the store did not do it. */
export const unavailable = <A>(effect: Effect.Effect<A, ColumnarError>) =>
  Effect.catch(effect, (error) =>
    Effect.andThen(
      Effect.logError("analytics store failed", { reason: error.reason, error: error.message }),
      Effect.fail(new StoreUnavailable({ applied: "no" }))
    )
  )
