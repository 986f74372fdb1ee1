import { type Array, type Cause, Deferred, Effect, Exit, Fiber, Option, Queue, type Scope } from "effect"

export interface Options<Item, E> {
  /** Writes all items or, failing, none. It may get an item again, with fewer neighbours, after a failure. */
  readonly commit: (items: Array.NonEmptyReadonlyArray<Item>) => Effect.Effect<unknown, E>
  /** How many items wait at most; further callers are held back. */
  readonly capacity: number
  /** What callers get once the scope is closing. */
  readonly closed: () => E
  /** Whether every other item would fail as well, so that it makes no sense to commit them in halves. */
  readonly isOutage?: (error: E) => boolean
}

interface Entry<Item, E> {
  readonly item: Item
  readonly done: Deferred.Deferred<void, E>
  abandoned: boolean
}

/**
 * Natural group commit: while one commit runs, items gather, and the next commit takes all of them. So a lone writer waits for
 * nothing, and many writers share the cost of a commit.
 *
 * The answered function returns when its item is committed. When a commit fails its items are committed in halves, down to
 * single ones, so an item fails for its own faults only; but an outage fails all of them at once. An item whose caller was interrupted before its commit began is
 * left out. Closing the scope waits until all that was accepted is committed.
 */
export const make = Effect.fnUntraced(function* <Item, E>(
  options: Options<Item, E>
): Effect.fn.Return<(item: Item) => Effect.Effect<void, E>, never, Scope.Scope> {
  const queue = yield* Queue.bounded<Entry<Item, E>, Cause.Done>(options.capacity)

  const isOutage = (exit: Exit.Exit<unknown, E>) =>
    options.isOutage !== undefined && Option.exists(Exit.findErrorOption(exit), options.isOutage)

  const flush = (entries: ReadonlyArray<Entry<Item, E>>): Effect.Effect<void> => {
    const [first, ...rest] = entries
    if (first === undefined) return Effect.void
    return options.commit([first.item, ...rest.map((entry) => entry.item)]).pipe(
      Effect.asVoid,
      Effect.exit,
      Effect.flatMap((exit) => {
        if (Exit.isSuccess(exit) || rest.length === 0 || isOutage(exit)) {
          for (const entry of entries) Deferred.doneUnsafe(entry.done, exit)
          return Effect.void
        }
        const half = entries.length >> 1
        return Effect.andThen(flush(entries.slice(0, half)), flush(entries.slice(half)))
      })
    )
  }

  const loop = Queue.takeAll(queue).pipe(
    Effect.flatMap((entries) => flush(entries.filter((entry) => !entry.abandoned))),
    Effect.forever,
    Effect.ignore
  )

  // Detached, because the scope's closing must not interrupt it before the queue is empty.
  yield* Effect.acquireRelease(Effect.forkDetach(loop), (fiber) =>
    Effect.andThen(Queue.end(queue), Effect.exit(Fiber.join(fiber)))
  )

  return Effect.fnUntraced(function* (item: Item) {
    const entry: Entry<Item, E> = { item, done: Deferred.makeUnsafe(), abandoned: false }
    const accepted = yield* Queue.offer(queue, entry)
    if (!accepted) return yield* Effect.fail(options.closed())
    yield* Deferred.await(entry.done).pipe(
      Effect.onInterrupt(() =>
        Effect.sync(() => {
          entry.abandoned = true
        })
      )
    )
  })
})
