import { Clock, Context, Data, Duration, Effect } from "effect"

/** When the work of a fiber must have ended, in milliseconds since the epoch; `undefined`: whenever it does. */
export const Deadline = Context.Reference<number | undefined>("@opsbuddy/resilience/Deadline", {
  defaultValue: () => undefined
})

/** The work did not end in the `millis` that it had. */
export class DeadlineExceeded extends Data.TaggedError("DeadlineExceeded")<{ readonly millis: number }> {}

/** Gives the work at most this time, less where a deadline around it comes earlier; it is interrupted then. */
export const within =
  (duration: Duration.Input) =>
  <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E | DeadlineExceeded, R> =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const outer = yield* Deadline
      const own = now + Duration.toMillis(duration)
      const end = outer === undefined ? own : Math.min(outer, own)
      const millis = Math.max(0, end - now)
      if (millis === 0) return yield* new DeadlineExceeded({ millis })
      return yield* Effect.provideService(work, Deadline, end).pipe(
        Effect.timeoutOrElse({
          duration: Duration.millis(millis),
          orElse: () => Effect.fail(new DeadlineExceeded({ millis }))
        })
      )
    })

/** The time until the deadline, zero once it has passed; `undefined` without one. */
export const remaining: Effect.Effect<Duration.Duration | undefined> = Effect.gen(function* () {
  const end = yield* Deadline
  if (end === undefined) return undefined
  return Duration.millis(Math.max(0, end - (yield* Clock.currentTimeMillis)))
})
