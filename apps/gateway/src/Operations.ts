import { TargetNotFound, UpstreamNotFound } from "@opsbuddy/contract/Gateway"
import { CurrentPrincipal } from "@opsbuddy/contract/Identity"
import type { StoreProblem } from "@opsbuddy/contract/Problems"
import type { UpstreamStatus } from "@opsbuddy/contract/Service"
import { Audit } from "@opsbuddy/runtime/Audit"
import { Clock, Context, Effect, Layer, type Schema } from "effect"
import { Gateway } from "./Gateway.ts"
import type { Upstream } from "./Upstream.ts"

type Failure = UpstreamNotFound | StoreProblem

/** What an operator does by hand. Each action is recorded first: what cannot be recorded is not done. */
export class Operations extends Context.Service<
  Operations,
  {
    force(
      upstream: string,
      state: "open" | "closed",
      reason: string
    ): Effect.Effect<UpstreamStatus, Failure, CurrentPrincipal>
    release(upstream: string, reason: string): Effect.Effect<UpstreamStatus, Failure, CurrentPrincipal>
    drain(
      upstream: string,
      target: string,
      draining: boolean,
      reason: string
    ): Effect.Effect<UpstreamStatus, Failure | TargetNotFound, CurrentPrincipal>
    /** Records that somebody asks for a reload. */
    reloading(reason: string): Effect.Effect<void, StoreProblem, CurrentPrincipal>
  }
>()("@opsbuddy/gateway/Operations") {
  static readonly layer = Layer.effect(
    Operations,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function* () {
  const gateway = yield* Gateway
  const audit = yield* Audit

  const find = (name: string): Effect.Effect<Upstream, UpstreamNotFound> => {
    const upstream = gateway.running().upstreams.get(name)
    return upstream === undefined
      ? Effect.fail(new UpstreamNotFound({ upstream: name, detail: `there is no upstream ${name}` }))
      : Effect.succeed(upstream)
  }

  const record = Effect.fnUntraced(function* (action: string, resource: string, reason: string, detail?: Schema.Json) {
    const principal = yield* CurrentPrincipal
    yield* audit.record({ principal, action, resource, reason, ...(detail === undefined ? {} : { detail }) })
  })

  return Operations.of({
    force: Effect.fn("Operations.force")(function* (name, state, reason) {
      const upstream = yield* find(name)
      yield* record("gateway.force", `upstream ${name}`, reason, { state })
      const now = yield* Clock.currentTimeMillis
      upstream.breaker.force(state, reason, now)
      return upstream.status(now)
    }),
    release: Effect.fn("Operations.release")(function* (name, reason) {
      const upstream = yield* find(name)
      yield* record("gateway.release", `upstream ${name}`, reason)
      const now = yield* Clock.currentTimeMillis
      upstream.breaker.release(now, reason)
      return upstream.status(now)
    }),
    drain: Effect.fn("Operations.drain")(function* (name, url, draining, reason) {
      const upstream = yield* find(name)
      const target = upstream.targets.find(({ id }) => id === url)
      if (target === undefined) {
        return yield* new TargetNotFound({
          upstream: name,
          target: url,
          detail: `the targets of ${name} are ${upstream.targets.map(({ id }) => id).join(", ")}`
        })
      }
      yield* record(draining ? "gateway.drain" : "gateway.undrain", `target ${url} of upstream ${name}`, reason)
      const now = yield* Clock.currentTimeMillis
      target.draining = draining
      if (!draining) upstream.outliers.restore(target)
      upstream.changed()
      gateway.events.add(
        { kind: draining ? "target-drained" : "target-undrained", upstream: name, target: url, cause: reason },
        now
      )
      return upstream.status(now)
    }),
    reloading: (reason) => record("gateway.reload", "configuration", reason)
  })
})
