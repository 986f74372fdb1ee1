import { join, resolve } from "node:path"
import { Api, GatewayServiceApi } from "@opsbuddy/contract/Api"
import * as App from "@opsbuddy/runtime/App"
import * as Audit from "@opsbuddy/runtime/Audit"
import * as Docs from "@opsbuddy/runtime/Docs"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import { ServerFront } from "@opsbuddy/runtime/Server"
import * as Sqlite from "@opsbuddy/runtime/Sqlite"
import { SqliteStore } from "@opsbuddy/runtime/SqliteStore"
import { Clock, Effect, FileSystem, Layer, Ref } from "effect"
import { SqlClient } from "effect/sql"
import * as BuiltIn from "./config/BuiltIn.ts"
import { Events } from "./Events.ts"
import { Gateway } from "./Gateway.ts"
import { GatewayHandlers } from "./GatewayHandlers.ts"
import * as GatewayServer from "./GatewayServer.ts"
import * as Metrics from "./Metrics.ts"
import { Operations } from "./Operations.ts"
import { RecordSender } from "./RecordSender.ts"
import * as Reload from "./Reload.ts"
import { Requests } from "./RequestLog.ts"
import { usualConfigFile, variables } from "./Settings.ts"
import * as UpstreamHealth from "./UpstreamHealth.ts"

const probe = (location: string) =>
  Layer.effect(
    HealthProbe,
    Effect.gen(function* () {
      const gateway = yield* Gateway
      const sql = yield* SqlClient.SqlClient
      const store = yield* SqliteStore
      const size = sql<{ readonly bytes: number }>`SELECT page_count * page_size AS bytes
      FROM pragma_page_count(), pragma_page_size()`
      const upstreams = () => [...gateway.running().upstreams.values()]
      return HealthProbe.of({
        // Without it requests go on as before, and operators cannot act.
        database: Effect.map(store.probe(sql`SELECT sequence FROM audit LIMIT 1`), (state) =>
          state === "unhealthy" ? "degraded" : state
        ),
        storage: Effect.orDie(Effect.map(size, ([row]) => ({ kind: "sqlite", location, bytes: row?.bytes ?? 0 }))),
        services: Effect.sync(() => upstreams().map(UpstreamHealth.summary)),
        upstreams: Effect.map(Clock.currentTimeMillis, (now) => upstreams().map((upstream) => upstream.status(now))),
        counters: Effect.sync(() => ({
          ...gateway.records.counters(),
          requestsRemembered: gateway.requests.size().requests,
          revision: gateway.running().revision,
          rateLimitStoreGone: gateway.limits.status().gone ? 1 : 0
        })),
        metrics: Effect.map(Clock.currentTimeMillis, (now) => Metrics.format(gateway, now))
      })
    })
  )

const front = Layer.effectDiscard(
  Effect.gen(function* () {
    yield* Ref.set(yield* ServerFront, yield* GatewayServer.make)
  })
)

/** At most this many requests are remembered. */
const mostAccounts = 100_000

export interface Options {
  readonly source: Reload.Source
  /** Where records of requests go. */
  readonly analyticsUrl: string
  /** The gateway's own store, or `:memory:`. */
  readonly database: string
  readonly accountBytes: number
}

/** The gateway over any configuration. */
export const layer = ({ accountBytes, analyticsUrl, database, source }: Options) =>
  Layer.mergeAll(GatewayHandlers, probe(database), front).pipe(
    Layer.provide([Operations.layer, Reload.Reload.layer(source)]),
    Layer.provide(Layer.unwrap(Effect.map(Reload.load(source), Gateway.layer))),
    Layer.provide([Events.layer, Requests.layer(mostAccounts, accountBytes), RecordSender.layer(analyticsUrl)]),
    Layer.provide(Audit.Audit.layer),
    Layer.provide(Sqlite.layer({ filename: database, migrations: Audit.migrations }))
  )

/** The file that is named; none where the usual one is not there. */
const configFile = Effect.fnUntraced(function* (named: string) {
  const fs = yield* FileSystem.FileSystem
  const file = resolve(named)
  const isThere = yield* Effect.orElseSucceed(fs.exists(file), () => true)
  return named === usualConfigFile && !isThere ? undefined : file
})

export const app = App.make({
  name: "gateway",
  api: GatewayServiceApi,
  docs: Docs.layer(Api),
  variables,
  layer: (settings) =>
    Layer.unwrap(
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const folder = join(settings.dataDirectory, "gateway")
        yield* fs.makeDirectory(folder, { recursive: true })
        return layer({
          source: { file: yield* configFile(settings.configFile), builtIn: BuiltIn.document(settings) },
          analyticsUrl: settings.analyticsUrls[0],
          database: join(folder, "gateway.db"),
          accountBytes: Number(settings.accountBytes)
        })
      })
    )
})
