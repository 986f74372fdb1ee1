import { Clock, Data, Deferred, Duration, Effect, Exit } from "effect"

/** How many calls run at once, and how many wait, for how long. */
export interface ConcurrencyPolicy {
  readonly max: number
  /** Calls that wait for a place; the next one is refused at once. */
  readonly queue: number
  /** The longest time in the queue. */
  readonly wait: Duration.Duration
}

export const defaultPolicy: ConcurrencyPolicy = { max: 512, queue: 128, wait: Duration.seconds(1) }

/** A call was refused: the queue was full, or it waited in it for `waitedMillis` in vain. */
export class Overloaded extends Data.TaggedError("Overloaded")<{
  readonly active: number
  readonly queued: number
  readonly max: number
  readonly queue: number
  readonly waitedMillis: number
}> {}

export interface ConcurrencyStatus {
  readonly active: number
  readonly queued: number
  readonly max: number
  readonly queue: number
  /** Calls refused so far. */
  readonly refused: number
}

/** Bounds the calls that run at once. Places are given in the order of asking. */
export interface Concurrency {
  /** Takes a place if one is free and nobody waits for it. */
  readonly tryAcquire: () => boolean
  /** Gives a place back, to the one that has waited longest. Once for each place taken. */
  readonly release: () => void
  /**
   * Takes a place, waiting in the queue for it. Interruption leaves the queue. Whoever succeeds has a place and gives it back,
   * so nothing that can be interrupted may stand between; `limit` sees to that.
   */
  readonly acquire: Effect.Effect<void, Overloaded>
  /** Runs the call in a place. */
  readonly limit: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Overloaded, R>
  readonly status: () => ConcurrencyStatus
  /** Holds for calls to come: whoever runs or waits may end doing so. */
  readonly resize: (policy: ConcurrencyPolicy) => void
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export const make = (initial: ConcurrencyPolicy = defaultPolicy): Concurrency => {
  let policy = initial
  let active = 0
  let refused = 0
  // In the order of arrival, and each can leave from anywhere.
  const waiting = new Set<Deferred.Deferred<void>>()

  const status = (): ConcurrencyStatus => ({
    active,
    queued: waiting.size,
    max: policy.max,
    queue: policy.queue,
    refused
  })

  const refuse = (waitedMillis: number) => {
    refused++
    const { refused: _, ...figures } = status()
    return new Overloaded({ ...figures, waitedMillis })
  }

  const tryAcquire = () => {
    // Nobody waits while a place is free, because places are handed over: this jumps no queue.
    if (active >= policy.max) return false
    active++
    return true
  }

  const admitWaiting = () => {
    for (const place of waiting) {
      if (active >= policy.max) return
      active++
      waiting.delete(place)
      Deferred.doneUnsafe(place, Effect.void)
    }
  }

  const release = () => {
    active--
    admitWaiting()
  }

  /** Runs uninterruptible, but for the wait: whatever happens, a place is either taken or not. */
  const take = (restore: Restore): Effect.Effect<void, Overloaded> =>
    Effect.suspend(() => {
      if (tryAcquire()) return Effect.void
      return waiting.size < policy.queue ? wait(restore) : Effect.fail(refuse(0))
    })

  const wait = Effect.fnUntraced(function* (restore: Restore): Effect.fn.Return<void, Overloaded> {
    const start = yield* Clock.currentTimeMillis
    const place = Deferred.makeUnsafe<void>()
    waiting.add(place)
    const exit = yield* Effect.exit(restore(Effect.timeoutOption(Deferred.await(place), policy.wait)))
    // Only the queue tells: a place may be given in the moment in which the time ends or the fiber is interrupted.
    const given = !waiting.delete(place)
    if (Exit.isFailure(exit)) {
      if (given) release()
      return yield* Effect.failCause(exit.cause)
    }
    if (!given) return yield* refuse((yield* Clock.currentTimeMillis) - start)
  })

  return {
    tryAcquire,
    release,
    acquire: Effect.uninterruptibleMask(take),
    limit: (call) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.andThen(take(restore), Effect.ensuring(restore(call), Effect.sync(release)))
      ),
    status,
    resize: (next) => {
      policy = next
      admitWaiting()
    }
  }
}
