import { NotReady } from "@opsbuddy/contract/Problems"
import type { HealthState, ServiceHealth, Status, UpstreamStatus } from "@opsbuddy/contract/Service"
import { ServiceApi } from "@opsbuddy/contract/Service"
import type { ServiceName } from "@opsbuddy/contract/Wire"
import { Clock, Context, DateTime, Effect, Layer, Ref } from "effect"
import { HttpApi, HttpApiBuilder } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import type { Counters } from "./HttpRequests.ts"
import * as Process from "./Process.ts"
import { StoreHealth } from "./StoreHealth.ts"

/** What an app tells about itself beside what is the same for all. Each effect really asks, each time. */
export class HealthProbe extends Context.Service<
  HealthProbe,
  {
    /** Asks the store; `none` where the app keeps nothing. What it finds wrong it reports to `StoreHealth`. */
    readonly database: Effect.Effect<HealthState | "none">
    /** Where the data is and how many bytes it takes on disk. */
    readonly storage?: Effect.Effect<NonNullable<Status["storage"]>>
    /** Figures for `/status` beside those that every app has. */
    readonly counters?: Effect.Effect<Readonly<Record<string, number>>>
    /** At the gateway: the upstreams as health checks found them. */
    readonly services?: Effect.Effect<ReadonlyArray<typeof ServiceHealth.Type>>
    readonly upstreams?: Effect.Effect<ReadonlyArray<UpstreamStatus>>
    /** Metrics of the app's own in Prometheus' text format, after those that every app has. */
    readonly metrics?: Effect.Effect<string>
  }
>()("@opsbuddy/runtime/HealthProbe") {}

/** Whether the program takes requests: false while it starts and while it drains. */
export class Readiness extends Context.Service<Readiness, Ref.Ref<boolean>>()("@opsbuddy/runtime/Readiness") {
  static readonly layer = Layer.effect(Readiness, Ref.make(false))
}

/** The API that only has the group of the service itself, which every app's API contains. */
const ServiceOnlyApi = HttpApi.make("service").add(ServiceApi)

/** A store that refuses writes is degraded at best, whatever the probe found. */
const withOutage = (database: HealthState | "none", outage: boolean) =>
  outage && database !== "unhealthy" ? "degraded" : database

const overall = (database: HealthState | "none", services: ReadonlyArray<typeof ServiceHealth.Type>): HealthState => {
  if (database === "unhealthy") return "unhealthy"
  return database === "degraded" || services.some((service) => service.status !== "healthy") ? "degraded" : "healthy"
}

/** `/health`, `/ready`, `/status` and `/metrics`. */
export const handlers = (options: {
  readonly name: ServiceName
  readonly version: string
  readonly counters: Counters
}) =>
  HttpApiBuilder.group(
    ServiceOnlyApi,
    "service",
    Effect.fnUntraced(function* (group) {
      const probe = yield* HealthProbe
      const readiness = yield* Readiness
      const store = yield* StoreHealth
      // The wall clock may be set back.
      const started = yield* Clock.monotonicTimeNanos
      const info = Effect.map(Clock.monotonicTimeNanos, (now) => ({
        name: options.name,
        version: options.version,
        uptime: Number((now - started) / 1_000_000n) / 1000
      }))
      const health = Effect.gen(function* () {
        const found = yield* probe.database
        const outage = yield* store.outage
        const database = withOutage(found, outage !== undefined)
        const services = probe.services === undefined ? undefined : yield* probe.services
        const status = overall(database, services ?? [])
        const rest = {
          service: yield* info,
          database,
          timestamp: yield* DateTime.now,
          ...(outage === undefined ? {} : { reasons: [outage.reason] }),
          ...(services === undefined ? {} : { services })
        }
        // Two schemas with different statuses, so that the type has to be narrowed.
        return status === "unhealthy" ? { status, ...rest } : { status, ...rest }
      })
      return group.handleAll({
        health: () => health,
        ready: () =>
          Effect.flatMap(Ref.get(readiness), (ready) =>
            ready ? Effect.succeed({ ready: true as const }) : new NotReady({ detail: "starting or shutting down" })
          ),
        status: () =>
          Effect.gen(function* () {
            const storage = probe.storage === undefined ? undefined : yield* probe.storage
            const upstreams = probe.upstreams === undefined ? undefined : yield* probe.upstreams
            const notices = yield* store.notices
            return {
              service: yield* info,
              runtime: Process.runtime,
              memory: yield* Process.memory,
              counters: { ...options.counters, ...(probe.counters === undefined ? {} : yield* probe.counters) },
              timestamp: yield* DateTime.now,
              ...(storage === undefined ? {} : { storage }),
              ...(notices.length === 0 ? {} : { notices }),
              ...(upstreams === undefined ? {} : { upstreams })
            }
          }),
        metrics: () =>
          Effect.gen(function* () {
            yield* Process.updateMetrics
            const common = yield* PrometheusMetrics.format()
            return probe.metrics === undefined ? common : `${common}\n${yield* probe.metrics}`
          })
      })
    })
  )
