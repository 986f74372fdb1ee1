import type { GatewayEvent } from "@opsbuddy/contract/Gateway"
import type { BreakerTransition } from "@opsbuddy/resilience/Breaker"
import type { Ejection } from "@opsbuddy/resilience/Outliers"
import { Context, DateTime, Effect, Layer } from "effect"
import type { Target } from "./Target.ts"
import type { Upstream } from "./Upstream.ts"

type Listener = (event: GatewayEvent) => void

/** What happened beside requests: the last 10,000 events, and everyone who wants to know of the next. Never waits. */
export class Events extends Context.Service<
  Events,
  {
    readonly add: (event: Omit<GatewayEvent, "id" | "timestamp">, at?: number) => void
    /** Oldest first, those with an id above `after`. */
    readonly list: (after?: number) => ReadonlyArray<GatewayEvent>
    /** Calls the listener with each event from now on, and gives what stops that. */
    readonly listen: (listener: Listener) => () => void
    readonly ejected: (upstream: Upstream, target: Target, ejection: Ejection, reason: string, now: number) => void
    /** Tells that an ejection is over, unless an operator has ended it before. */
    readonly restored: (upstream: Upstream, target: Target, ejection: Ejection) => Effect.Effect<void>
    readonly circuitChanged: (upstream: string, transition: BreakerTransition) => void
  }
>()("@opsbuddy/gateway/Events") {
  static readonly layer = Layer.sync(Events, () => make())
}

const capacity = 10_000

export const make = (): Events["Service"] => {
  let kept: Array<GatewayEvent> = []
  let nextId = 1
  const listeners = new Set<Listener>()

  const add: Events["Service"]["add"] = (event, at = Date.now()) => {
    const whole: GatewayEvent = { id: nextId++, timestamp: DateTime.makeUnsafe(at), ...event }
    kept.push(whole)
    // Twice the capacity before half is let go, so that adding stays cheap.
    if (kept.length >= 2 * capacity) kept = kept.slice(-capacity)
    for (const listener of listeners) listener(whole)
  }

  return {
    add,
    list: (after = 0) => {
      const last = kept.slice(-capacity)
      const first = last.findIndex(({ id }) => id > after)
      return first === -1 ? [] : last.slice(first)
    },
    listen: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    ejected: ({ config, outliers }, target, { times, until }, reason, now) =>
      add(
        {
          kind: "target-ejected",
          upstream: config.name,
          target: target.id,
          cause:
            `${config.outliers.consecutiveFailures} consecutive failures, last: ${reason}; ejected for ${Math.round((until - now) / 1000)} s` +
            (times > 1 ? `, the ${times}. time` : "") +
            (outliers.ejection(target, now) === undefined ? ", over already" : "")
        },
        now
      ),
    restored: ({ config, outliers }, target, ejection) =>
      Effect.sync(() => {
        if (outliers.ejection(target, ejection.until - 1) !== ejection) return
        const cause = "its ejection is over, and it is asked again"
        add({ kind: "target-restored", upstream: config.name, target: target.id, cause }, ejection.until)
      }),
    circuitChanged: (upstream, { at, cause, from, to }) =>
      add({ kind: "circuit-changed", upstream, from, to, cause }, at)
  }
}
