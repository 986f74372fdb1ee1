import type { ConfigMistake } from "@opsbuddy/contract/Gateway"
import type { RateLimits } from "@opsbuddy/resilience/RateLimit"
import { Clock, Context, DateTime, Effect, Exit, type Fiber, Layer, Scope, Semaphore } from "effect"
import { HttpClient } from "effect/http"
import type { Loaded } from "./config/ConfigFile.ts"
import * as Discovery from "./Discovery.ts"
import { Events } from "./Events.ts"
import type { UpstreamConfig } from "./GatewayConfig.ts"
import * as HealthChecks from "./HealthChecks.ts"
import * as RateLimiting from "./RateLimiting.ts"
import { RecordSender } from "./RecordSender.ts"
import { type RequestLog, Requests } from "./RequestLog.ts"
import * as Route from "./Route.ts"
import * as RouteMetrics from "./RouteMetrics.ts"
import * as RouteTable from "./RouteTable.ts"
import * as Ticker from "./Ticker.ts"
import * as TrustedProxies from "./TrustedProxies.ts"
import * as Upstream from "./Upstream.ts"

/** What made a configuration load. */
export type Trigger = "start" | "signal" | "file-change" | "request"

/** A configuration as it runs; replaced as a whole. */
export interface Running {
  readonly loaded: Loaded
  readonly revision: number
  readonly loadedAt: DateTime.Utc
  readonly trigger: Trigger
  readonly table: RouteTable.RouteTable<Route.Route>
  readonly routes: ReadonlyArray<Route.Route>
  readonly upstreams: ReadonlyMap<string, Upstream.Upstream>
  readonly limits: RateLimits
  readonly isTrusted: TrustedProxies.IsTrusted
}

export interface Rejected {
  readonly at: DateTime.Utc
  readonly trigger: Trigger
  readonly mistakes: ReadonlyArray<ConfigMistake>
}

/** The gateway as it runs: what requests meet, and how that is exchanged. Reading it is synchronous. */
export class Gateway extends Context.Service<
  Gateway,
  {
    readonly running: () => Running
    /** The rate limits of the running configuration. */
    readonly limits: RateLimits
    readonly requests: RequestLog
    readonly records: RecordSender["Service"]
    readonly events: Events["Service"]
    readonly ticker: Ticker.Ticker
    /** Runs an effect outside of any fiber, in the gateway's context. */
    readonly run: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
    /**
     * Exchanges the configuration. Requests in flight end on the old one; upstreams that are the same keep their circuits, their
     * health and all else; a changed upstream keeps what is known of targets that it still has.
     */
    readonly apply: (loaded: Loaded, trigger: Trigger) => Effect.Effect<void>
    /** Notes a configuration that was refused. */
    readonly reject: (mistakes: ReadonlyArray<ConfigMistake>, trigger: Trigger) => Effect.Effect<void>
    /** The last refusal since the running configuration was loaded. */
    readonly rejected: () => Rejected | undefined
  }
>()("@opsbuddy/gateway/Gateway") {
  static readonly layer = (loaded: Loaded) => Layer.effect(Gateway, make(loaded))
}

/** A part of a configuration with the scope that its fibers live in. */
interface Kept<A> {
  readonly value: A
  readonly fingerprint: string
  readonly scope: Scope.Closeable
}

const make = Effect.fnUntraced(function* (initial: Loaded) {
  const events = yield* Events
  const requests = yield* Requests
  const records = yield* RecordSender
  const context = yield* Effect.context<HttpClient.HttpClient>()
  const client = yield* HttpClient.HttpClient
  const metrics = new Map<string, RouteMetrics.RouteMetrics>()
  const turn = yield* Semaphore.make(1)
  let upstreams = new Map<string, Kept<Upstream.Upstream>>()
  let limits: Kept<RateLimits> | undefined
  let rejected: Rejected | undefined

  /** Makes a part in a scope of its own. */
  const keep = Effect.fnUntraced(function* <A>(
    fingerprint: string,
    effect: Effect.Effect<A, never, Scope.Scope | HttpClient.HttpClient>
  ) {
    const scope = yield* Scope.make()
    const value = yield* effect.pipe(
      Effect.provideService(Scope.Scope, scope),
      Effect.provideService(HttpClient.HttpClient, client)
    )
    return { value, fingerprint, scope } satisfies Kept<A>
  })

  const makeUpstream = Effect.fnUntraced(function* (config: UpstreamConfig, before: Upstream.Upstream | undefined) {
    const upstream = yield* Upstream.make(config)
    const known = before?.targets ?? []
    upstream.setTargets(Discovery.merge(upstream, known))
    const now = yield* Clock.currentTimeMillis
    const held = before?.breaker.status(now)
    // What an operator holds stays held until it is released.
    if (held?.forcedReason !== undefined) {
      upstream.breaker.force(held.state === "forced-open" ? "open" : "closed", held.forcedReason, now)
    }
    upstream.breaker.onTransition((transition) => {
      events.circuitChanged(config.name, transition)
      const { cause, from, to } = transition
      const log = to === "open" ? Effect.logWarning : Effect.logInfo
      run(log(`circuit ${to}`, { upstream: config.name, from, cause }))
    })
    const checkHealth = yield* HealthChecks.make(upstream, events)
    yield* Discovery.start(upstream, known, events, checkHealth)
    yield* checkHealth()
    return upstream
  })

  // biome-ignore lint/plugin: the data path: a request comes from the server, outside of any fiber
  const run: Gateway["Service"]["run"] = Effect.runForkWith(context)

  const build = Effect.fnUntraced(function* (loaded: Loaded, trigger: Trigger, revision: number) {
    const { config, fingerprints } = loaded
    const next = new Map<string, Kept<Upstream.Upstream>>()
    for (const upstream of config.upstreams) {
      const before = upstreams.get(upstream.name)
      const fingerprint = fingerprints.upstreams.get(upstream.name) ?? ""
      const same = before?.fingerprint === fingerprint
      next.set(upstream.name, same ? before : yield* keep(fingerprint, makeUpstream(upstream, before?.value)))
    }
    const limitsFingerprint = JSON.stringify(config.rateLimits)
    const nextLimits =
      limits?.fingerprint === limitsFingerprint
        ? limits
        : yield* keep(limitsFingerprint, RateLimiting.make(config.rateLimits, events))
    const routes = config.routes.map((route) => {
      const counted = metrics.get(route.name) ?? RouteMetrics.make()
      metrics.set(route.name, counted)
      return Route.make(route, route.upstream === undefined ? undefined : next.get(route.upstream)?.value, counted)
    })
    const running: Running = {
      loaded,
      revision,
      trigger,
      loadedAt: yield* DateTime.now,
      routes,
      table: RouteTable.make(routes),
      upstreams: new Map([...next].map(([name, { value }]) => [name, value])),
      limits: nextLimits.value,
      isTrusted: TrustedProxies.make(config.trustedProxies)
    }
    // What nobody uses any more: its checks end, its requests in flight do not need them.
    const gone = [...upstreams].filter(([name, kept]) => next.get(name) !== kept).map(([, { scope }]) => scope)
    if (limits !== undefined && limits !== nextLimits) gone.push(limits.scope)
    upstreams = next
    limits = nextLimits
    rejected = undefined
    return { running, gone }
  })

  let running = (yield* build(initial, "start", 1)).running
  yield* Effect.addFinalizer(() =>
    Effect.forEach(
      [...upstreams.values(), ...(limits === undefined ? [] : [limits])],
      ({ scope }) => Scope.close(scope, Exit.void),
      { discard: true }
    )
  )

  const announce = ({ loaded, revision, trigger }: Running) => {
    const { routes, upstreams } = loaded.config
    const cause = `${trigger}: ${upstreams.length} upstreams, ${routes.length} routes`
    events.add({ kind: "config-loaded", to: String(revision), cause })
    return Effect.logInfo("configuration loaded", {
      revision,
      trigger,
      upstreams: upstreams.length,
      routes: routes.length
    })
  }
  yield* announce(running)

  return Gateway.of({
    running: () => running,
    limits: {
      consume: (key, policy) => running.limits.consume(key, policy),
      status: () => running.limits.status()
    },
    requests,
    records,
    events,
    ticker: Ticker.make(10),
    run,
    apply: (loaded, trigger) =>
      Effect.gen(function* () {
        const built = yield* build(loaded, trigger, running.revision + 1)
        running = built.running
        yield* Effect.forEach(built.gone, (scope) => Scope.close(scope, Exit.void), { discard: true })
        yield* announce(running)
      }).pipe(Effect.uninterruptible, turn.withPermit),
    reject: Effect.fnUntraced(function* (mistakes, trigger) {
      rejected = { at: yield* DateTime.now, trigger, mistakes }
      const [first] = mistakes
      const where =
        first === undefined ? "" : `${first.file}:${first.line}:${first.column} ${first.path}: ${first.reason}`
      events.add({ kind: "config-rejected", cause: `${trigger}: ${mistakes.length} mistakes, first: ${where}` })
      yield* Effect.logError("configuration rejected, the old one stays", {
        trigger,
        mistakes: mistakes.length,
        first: where
      })
    }),
    rejected: () => rejected
  })
})
