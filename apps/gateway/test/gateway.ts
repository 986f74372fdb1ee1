import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as App from "@opsbuddy/runtime/App"
import * as Server from "@opsbuddy/runtime/Server"
import { common } from "@opsbuddy/runtime/Settings"
import { load } from "@opsbuddy/runtime/Variables"
import { ConfigProvider, type Duration, Effect, Logger, Schedule } from "effect"
import { HttpRouter } from "effect/http"
import * as Gateway from "../src/App.ts"
import type { ConfigDocument } from "../src/config/ConfigDocument.ts"
import { ask } from "./client.ts"

/** Settings of an upstream, as in a configuration file. */
export type UpstreamSettings = Omit<NonNullable<ConfigDocument["upstreams"]>[string], "targets">

/** Settings of a route, as in a configuration file. */
export type RouteSettings = NonNullable<ConfigDocument["routes"]>[number]

export interface Options {
  /** Of the upstream `shop`, which is served at `/shop`. */
  readonly targets: ReadonlyArray<string>
  readonly upstream?: UpstreamSettings
  /** What differs from a route without policies of its own. */
  readonly route?: RouteSettings
  readonly analyticsUrl?: string
}

/** Nobody listens there: port 9 (discard) is for nothing else, and asks for rights that tests do not have. */
export const nowhere = "http://127.0.0.1:9"

/** Serves the gateway over a configuration, and over a file beside it where there is one, on a free port of this process. */
export const serve = Effect.fnUntraced(
  function* (options: {
    readonly builtIn: ConfigDocument
    readonly file?: string
    readonly analyticsUrl?: string
    readonly accountBytes?: number
  }) {
    const settings = yield* load({ ...common("gateway"), ...Gateway.app.variables }).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({ GATEWAY_PORT: "0" }))
    )
    const app = App.make({
      ...Gateway.app,
      layer: () =>
        Gateway.layer({
          source: { file: options.file, builtIn: options.builtIn },
          analyticsUrl: options.analyticsUrl ?? nowhere,
          database: ":memory:",
          accountBytes: options.accountBytes ?? 16 * 1024 * 1024
        })
    })
    const http = yield* HttpRouter.toHttpEffect(App.routes(app, settings))
    return yield* Server.serve(http, { host: "127.0.0.1", port: 0, drainMillis: 500 })
  },
  Effect.provide(App.layerPlatform),
  Effect.provide(Logger.layer([]))
)

/** Serves the gateway with one upstream, `shop`, and gives the port. */
export const make = ({ analyticsUrl, route, targets, upstream }: Options) =>
  serve({
    builtIn: {
      upstreams: { shop: { health: { every: "5s" }, ...upstream, targets } },
      routes: [{ name: "shop", path: "/shop", upstream: "shop", ...route }]
    },
    ...(analyticsUrl === undefined ? {} : { analyticsUrl })
  })

/** Serves the gateway over a file of its own, which `write` replaces; an object is written as JSON, which is YAML too. */
export const serveFile = Effect.fnUntraced(function* (first: ConfigDocument | string) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "gateway-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const file = join(folder, "opsbuddy.yaml")
  const write = (document: ConfigDocument | string) => {
    writeFileSync(`${file}.new`, typeof document === "string" ? document : JSON.stringify(document))
    renameSync(`${file}.new`, file)
  }
  write(first)
  return { file, write, port: yield* serve({ builtIn: {}, file }) }
})

/** Asks again until it is so; fails the test when it is not so in time. */
export const eventually = <A>(
  question: Effect.Effect<A>,
  isSo: (answer: A) => boolean,
  within: Duration.Input = "5 seconds"
) =>
  question.pipe(
    Effect.repeat({ until: isSo, schedule: Schedule.spaced("20 millis") }),
    Effect.timeoutOrElse({
      duration: within,
      orElse: () => Effect.die(new Error("what the test waits for did not happen in time"))
    })
  )

interface TargetStatus {
  readonly url: string
  readonly health: string
  readonly detail?: string
  readonly requests: number
  readonly failures: number
  readonly inFlight: number
  readonly latency?: { readonly samples: number; readonly p50: number; readonly p99: number }
}

export interface UpstreamStatus {
  readonly name: string
  readonly circuit: {
    readonly state: string
    readonly consecutiveFailures: number
    readonly lastFailure?: string
    readonly retryAfter?: number
    readonly forcedReason?: string
  }
  readonly concurrency: { readonly active: number; readonly queued: number; readonly refused: number }
  readonly targets: ReadonlyArray<TargetStatus>
}

/** The only upstream, as `/api/gateway/upstreams` shows it. */
export const shop = (port: number) =>
  Effect.map(ask(port, "/api/gateway/upstreams"), (answer) => {
    const [first] = answer.json().items as ReadonlyArray<UpstreamStatus>
    if (first === undefined) throw new Error("the gateway shows no upstream")
    return first
  })

/** Asks until the circuit is in a state. */
export const circuitIs = (port: number, state: string, within: Duration.Input = "5 seconds") =>
  eventually(shop(port), ({ circuit }) => circuit.state === state, within)

/** Asks until the health check of each target has said something. */
export const checked = (port: number) =>
  eventually(shop(port), ({ targets }) => targets.every((target) => target.health !== "unknown"))
