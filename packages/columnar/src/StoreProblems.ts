import { InsufficientStorage, type StoreProblem, StoreUnavailable } from "@opsbuddy/contract/Problems"
import { Effect, Stream } from "effect"
import { ColumnarError } from "./ColumnarError.ts"

/**
 * The problem that a caller gets for what the store failed with. `detail` says why. What an engine's text says of a statement may
 * quote data and is for the log only.
 */
export const problem = (error: ColumnarError): StoreProblem => {
  switch (error.reason) {
    case "full":
      return new InsufficientStorage({ detail: error.message })
    case "memory":
    case "unavailable":
      return new StoreUnavailable({ applied: error.applied, detail: error.message })
    case "closed":
      return new StoreUnavailable({ applied: error.applied, detail: "the service is shutting down" })
    default:
      return new StoreUnavailable({ applied: error.applied, detail: "the database refused the statement" })
  }
}

/** Translates what the store failed with; other failures of `effect` stay as they are. */
export const problems = <A, E, R>(
  effect: Effect.Effect<A, E | ColumnarError, R>
): Effect.Effect<A, Exclude<E, ColumnarError> | StoreProblem, R> => Effect.catch(effect, translate)

/** The same for a stream, which may fail after some of its elements. */
export const streamProblems = <A, E, R>(
  stream: Stream.Stream<A, E | ColumnarError, R>
): Stream.Stream<A, Exclude<E, ColumnarError> | StoreProblem, R> =>
  Stream.catch(stream, (error) => Stream.fromEffect(translate(error)))

/** An outage is logged once by `StoreHealth`; a statement that fails is a fault of the program, and each is logged. */
const translate = <E>(error: E | ColumnarError): Effect.Effect<never, Exclude<E, ColumnarError> | StoreProblem> => {
  if (!(error instanceof ColumnarError)) {
    // What is not a `ColumnarError` is one of the others.
    return Effect.fail(error as Exclude<E, ColumnarError>)
  }
  const failed = Effect.fail(problem(error))
  return error.isOutage
    ? failed
    : Effect.andThen(Effect.logError("store failed", { reason: error.reason, error: error.message }), failed)
}
