import { InsufficientStorage, type StoreProblem, StoreUnavailable } from "@opsbuddy/contract/Problems"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Cause, Effect, type PlatformError } from "effect"

const isPlatformError = <E>(error: E): error is Extract<E, PlatformError.PlatformError> =>
  error instanceof Error && "_tag" in error && error._tag === "PlatformError"

/** A quota is a full disk, too. */
const isFull = ({ reason }: PlatformError.PlatformError) => {
  const cause = "cause" in reason ? reason.cause : undefined
  return cause instanceof Error && "code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT")
}

/** How much a disk that has refused a write must take before it counts as one that takes writes, in bytes. */
const enough = 1024 * 1024

/** The one place where failures of the disk become the caller's problem; their detail goes to the log. */
export const make = Effect.fnUntraced(function* (directory: string) {
  const health = yield* StoreHealth
  /** Why the last write was refused, as long as none has worked since. */
  let refusal: string | undefined

  const problemOf = (operation: string, error: PlatformError.PlatformError): Effect.Effect<StoreProblem> => {
    if (isFull(error)) {
      return Effect.succeed(new InsufficientStorage({ detail: `the disk of ${directory} is full` }))
    }
    const detail = `the disk of ${directory} failed to ${operation}; the log of the service says why`
    return Effect.as(
      Effect.logError("file store failed", { operation }, Cause.fail(error)),
      new StoreUnavailable({ applied: "no", detail })
    )
  }

  const refused = Effect.fnUntraced(function* (operation: string, error: PlatformError.PlatformError) {
    const problem = yield* problemOf(operation, error)
    refusal = problem.detail ?? problem.title
    yield* health.refused(refusal)
    return yield* Effect.fail<StoreProblem>(problem)
  })

  const accepted = Effect.suspend(() => {
    if (refusal === undefined) return Effect.void
    refusal = undefined
    return health.accepted
  })

  return {
    reads:
      (operation: string) =>
      <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.catchIf(effect, isPlatformError<E>, (error) =>
          Effect.flatMap(problemOf(operation, error), (problem) => Effect.fail<StoreProblem>(problem))
        ),
    /** Reports a refused write to `StoreHealth`. */
    writes:
      (operation: string) =>
      <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.catchIf(effect, isPlatformError<E>, (error) => refused(operation, error)),
    /** After a write of a caller has worked. */
    accepted,
    /** Tries a write: a large one while writes are refused. Whether it worked. */
    probe: (write: (bytes: number) => Effect.Effect<void, PlatformError.PlatformError>) =>
      Effect.suspend(() => write(refusal === undefined ? 16 : enough)).pipe(
        Effect.matchEffect({
          onSuccess: () => Effect.as(accepted, true),
          onFailure: (error) =>
            refusal === undefined ? Effect.as(Effect.flip(refused("write", error)), false) : Effect.succeed(false)
        })
      )
  }
})

export type Disk = Effect.Success<ReturnType<typeof make>>
