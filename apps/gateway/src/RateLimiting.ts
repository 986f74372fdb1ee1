import * as RateLimits from "@opsbuddy/resilience/RateLimit"
import { Context, Effect, Exit, Layer, References, Schedule, Scope } from "effect"
import { RateLimiter } from "effect/persistence"
import type { Events } from "./Events.ts"
import type { RateLimitStoreConfig } from "./GatewayConfig.ts"

const notConnected = new RateLimiter.RateLimiterError({
  reason: new RateLimiter.RateLimitStoreError({ message: "no connection to Redis yet" })
})

/** A limiter over Redis that can be used at once, and fails until a connection is made; Redis may well start later than we. */
const overRedis = Effect.fnUntraced(function* (url: string) {
  // Here, because the client costs a quarter of a second of each start, and few have a Redis.
  const NodeRedis = yield* Effect.promise(() => import("@effect/platform-node/NodeRedis"))
  let limiter: RateLimiter.RateLimiter | undefined
  const layer = RateLimiter.layer.pipe(
    Layer.provide(RateLimiter.layerStoreRedis({ prefix: "opsbuddy:limit:" })),
    Layer.provide(NodeRedis.layer({ url, disableOfflineQueue: true }))
  )
  // Not waited for: a Redis that hangs would hold up the end, and nothing is lost without its goodbye.
  const leave = (scope: Scope.Closeable) => Effect.forkDetach(Scope.close(scope, Exit.void))
  const connect = Effect.gen(function* () {
    // A scope for each attempt, so that one that fails leaves nothing behind.
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(layer, scope).pipe(Effect.onError(() => leave(scope)))
    yield* Effect.addFinalizer(() => leave(scope))
    limiter = Context.get(context, RateLimiter.RateLimiter)
  }).pipe(
    // The client warns of each connection that it tries in vain; what that means is told once, by the limits.
    Effect.provideService(References.MinimumLogLevel, "Error")
  )
  yield* connect.pipe(
    Effect.retry(Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")])),
    Effect.forkScoped
  )
  const use = <A>(f: (limiter: RateLimiter.RateLimiter) => Effect.Effect<A, RateLimiter.RateLimiterError>) =>
    Effect.suspend(() => (limiter === undefined ? Effect.fail(notConnected) : f(limiter)))
  return RateLimiter.RateLimiter.of({
    [RateLimiter.TypeId]: RateLimiter.TypeId,
    consume: (options) => use((limiter) => limiter.consume(options)),
    adaptiveConsume: (options) => use((limiter) => limiter.adaptiveConsume(options)),
    adaptiveFeedback: (options) => use((limiter) => limiter.adaptiveFeedback(options))
  })
})

/** The rate limits of a configuration, until the scope closes. Events tell when their shared store goes and comes back. */
export const make = Effect.fnUntraced(function* ({ redis, whenGone }: RateLimitStoreConfig, events: Events["Service"]) {
  return yield* RateLimits.make({
    whenGone,
    shared: redis === undefined ? undefined : yield* overRedis(redis),
    onChange: ({ gone, lastError }) =>
      events.add({
        kind: "rate-limit-store-changed",
        from: gone ? "shared" : "gone",
        to: gone ? "gone" : "shared",
        cause: gone ? `${lastError}; meanwhile: ${whenGone}` : "the store answers again"
      })
  })
})
