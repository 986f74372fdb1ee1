import type { Notice } from "@opsbuddy/contract/Service"
import { Clock, Context, DateTime, Duration, Effect, Layer } from "effect"

/** A time during which the store refuses writes. `since` is in milliseconds since 1970. */
export interface Outage {
  readonly since: number
  readonly reason: string
  /** Writes that were refused so far. */
  readonly refused: number
}

/** What is wrong with the store of this process, and what was found out about its data: for the log, `/health` and `/status`. */
export class StoreHealth extends Context.Service<
  StoreHealth,
  {
    /**
     * The store refused a write. `reason` is a sentence without a full stop, for operators and callers alike. Logged when an outage
     * begins, not for each write; `/health` has the latest reason.
     */
    refused(reason: string): Effect.Effect<void>
    /** A write is on disk. Ends an outage and logs that, with its duration and how many writes were refused; else costs nothing. */
    readonly accepted: Effect.Effect<void>
    readonly outage: Effect.Effect<Outage | undefined>
    /** Logs a warning and keeps it for `/status`: the latest 100. */
    notice(message: string, data?: Readonly<Record<string, unknown>>): Effect.Effect<void>
    readonly notices: Effect.Effect<ReadonlyArray<Notice>>
  }
>()("@opsbuddy/runtime/StoreHealth") {
  static readonly layer = Layer.sync(StoreHealth, () => make())
}

const maxNotices = 100

const make = () => {
  let outage: Outage | undefined
  const notices: Array<Notice> = []
  return StoreHealth.of({
    refused: Effect.fnUntraced(function* (reason) {
      const before = outage
      const since = before?.since ?? (yield* Clock.currentTimeMillis)
      outage = { since, reason, refused: (before?.refused ?? 0) + 1 }
      if (before === undefined) yield* Effect.logError("store refuses writes", { reason })
    }),
    accepted: Effect.suspend(() => {
      if (outage === undefined) return Effect.void
      const { reason, refused, since } = outage
      outage = undefined
      return Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.logInfo("store takes writes again", {
          reason,
          refused,
          duration: Duration.format(Duration.millis(Math.max(0, now - since)))
        })
      )
    }),
    outage: Effect.sync(() => outage),
    notice: Effect.fnUntraced(function* (message, data = {}) {
      notices.push({ timestamp: yield* DateTime.now, message })
      if (notices.length > maxNotices) notices.shift()
      yield* Effect.logWarning(message, data)
    }),
    notices: Effect.sync(() => [...notices])
  })
}
