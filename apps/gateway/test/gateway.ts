import * as App from "@opsbuddy/runtime/App"
import * as Server from "@opsbuddy/runtime/Server"
import { common } from "@opsbuddy/runtime/Settings"
import { load } from "@opsbuddy/runtime/Variables"
import { ConfigProvider, type Duration, Effect, Logger, Schedule } from "effect"
import { HttpRouter } from "effect/http"
import * as Gateway from "../src/App.ts"
import { defaults, type UpstreamConfig } from "../src/Upstream.ts"
import { ask } from "./client.ts"

export interface Options {
  /** Served at `/shop`. */
  readonly targets: readonly [string, ...Array<string>]
  readonly timeouts?: UpstreamConfig["timeouts"]
  readonly circuit?: UpstreamConfig["circuit"]
  readonly analyticsUrl?: string
}

/** Nobody listens there: port 9 (discard) is for nothing else, and asks for rights that tests do not have. */
export const nowhere = "http://127.0.0.1:9"

/** Serves the gateway with one upstream, `shop`, on a free port of this process, and gives the port. */
export const make = Effect.fnUntraced(
  function* (options: Options) {
    const settings = yield* load({ ...common("gateway"), ...Gateway.app.variables }).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({ GATEWAY_PORT: "0" }))
    )
    const app = App.make({
      ...Gateway.app,
      layer: () =>
        Gateway.layer({
          upstreams: [
            {
              ...defaults,
              name: "shop",
              targets: options.targets,
              ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
              ...(options.circuit === undefined ? {} : { circuit: options.circuit })
            }
          ],
          routes: [{ name: "shop", path: "/shop", upstream: "shop" }],
          analyticsUrl: options.analyticsUrl ?? nowhere
        })
    })
    const http = yield* HttpRouter.toHttpEffect(App.routes(app, settings))
    return yield* Server.serve(http, { host: "127.0.0.1", port: 0, drainMillis: 500 })
  },
  Effect.provide(App.layerPlatform),
  Effect.provide(Logger.layer([]))
)

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
  }
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
