import { lookup } from "node:dns/promises"
import { Context, Duration, Effect, Schedule } from "effect"
import type { Events } from "./Events.ts"
import { Target } from "./Target.ts"
import { declaredTargets, type Upstream } from "./Upstream.ts"

interface Found {
  readonly declared: string
  readonly weight: number
  readonly ids: ReadonlyArray<string>
}

/** How names are looked up, and how often: by the system's resolver, which asks `/etc/hosts` too, every 5 s. */
export const Resolver = Context.Reference<{
  readonly lookup: (hostname: string) => Promise<ReadonlyArray<{ readonly address: string; readonly family: number }>>
  readonly interval: Duration.Duration
}>("@opsbuddy/gateway/Discovery/Resolver", {
  defaultValue: () => ({ lookup: (hostname) => lookup(hostname, { all: true }), interval: Duration.seconds(5) })
})

/** Every address of `dns://name:port`, as `http://address:port`, sorted. */
const resolve = Effect.fnUntraced(function* (url: string) {
  const { hostname, port } = new URL(url.replace(/^dns:/, "http:"))
  const resolver = yield* Resolver
  const addresses = yield* Effect.tryPromise(() => resolver.lookup(hostname))
  return addresses
    .map(({ address, family }) => `http://${family === 6 ? `[${address}]` : address}:${port === "" ? "80" : port}`)
    .sort()
})

/** What an upstream's targets are now. Those that are there already, or are among the `known`, keep what is known about them. */
export const merge = (
  upstream: Upstream,
  known: ReadonlyArray<Target>,
  found: ReadonlyArray<Found> = []
): ReadonlyArray<Target> => {
  const before = new Map([...upstream.targets, ...known].map((target) => [target.id, target]))
  const wanted = [
    ...declaredTargets(upstream.config),
    ...found.flatMap(({ declared, ids, weight }) => ids.map((id) => new Target(id, declared, weight)))
  ]
  const byId = new Map<string, Target>()
  for (const target of wanted) {
    const old = before.get(target.id)
    if (old !== undefined) old.weight = target.weight
    byId.set(target.id, old ?? target)
  }
  return [...byId.values()]
}

/**
 * Looks the names of an upstream up now and again and again until the scope closes, and calls `changed` when that changed its targets. A
 * name that cannot be looked up keeps its addresses. `known` are targets of the upstream's last configuration.
 */
export const start = Effect.fnUntraced(function* (
  upstream: Upstream,
  known: ReadonlyArray<Target>,
  events: Events["Service"],
  changed: () => Effect.Effect<void>
) {
  const names = upstream.config.targets.filter(({ url }) => url.startsWith("dns://"))
  if (names.length === 0) return
  const last = new Map(
    names.map(({ url }) => [url, known.filter(({ declared }) => declared === url).map(({ id }) => id)])
  )
  const failing = new Set<string>()

  const lookUp = Effect.fnUntraced(function* (url: string) {
    const result = yield* Effect.result(resolve(url))
    if (result._tag === "Success") {
      failing.delete(url)
      last.set(url, result.success)
    } else if (!failing.has(url)) {
      failing.add(url)
      yield* Effect.logWarning(
        "name cannot be looked up",
        { upstream: upstream.config.name, name: url },
        result.failure
      )
    }
  })

  const refresh = Effect.gen(function* () {
    yield* Effect.forEach(names, ({ url }) => lookUp(url), { concurrency: "unbounded", discard: true })
    const before = upstream.targets.map(({ id }) => id).join(" ")
    const targets = merge(
      upstream,
      known,
      names.map(({ url, weight }) => ({ declared: url, weight, ids: last.get(url) ?? [] }))
    )
    const after = targets.map(({ id }) => id).join(" ")
    if (before === after) return
    upstream.setTargets(targets)
    events.add({
      kind: "targets-changed",
      upstream: upstream.config.name,
      from: before,
      to: after,
      cause: "name lookup"
    })
    yield* Effect.logInfo("targets changed", { upstream: upstream.config.name, targets: targets.map(({ id }) => id) })
    yield* changed()
  })

  yield* refresh
  const { interval } = yield* Resolver
  yield* Effect.forkScoped(Effect.repeat(Effect.delay(refresh, interval), Schedule.forever))
})
