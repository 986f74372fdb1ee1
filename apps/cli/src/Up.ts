import { type ServiceName, serviceNames } from "@opsbuddy/contract/Wire"
import * as Logging from "@opsbuddy/runtime/Logging"
import { common } from "@opsbuddy/runtime/Settings"
import { load } from "@opsbuddy/runtime/Variables"
import { Effect, Layer, Option, Path, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { FetchHttpClient } from "effect/http"
import * as Announcement from "./Announcement.ts"
import * as DataLock from "./DataLock.ts"
import { LogOutput } from "./LogOutput.ts"
import * as Plan from "./Plan.ts"
import { isServiceName } from "./Programs.ts"
import { HostRefused } from "./Refusals.ts"
import * as Supervisor from "./Supervisor.ts"

const flags = {
  only: Flag.String("only").pipe(
    Flag.withMetavar("services"),
    Flag.withDescription(`Start these alone, separated by commas: ${serviceNames.join(", ")}`),
    Flag.filterMap(
      (text) => {
        const names = text.split(",").map((name) => name.trim())
        return names.every(isServiceName) ? Option.some<ReadonlyArray<ServiceName>>(names) : Option.none()
      },
      () => `some of ${serviceNames.join(", ")}, separated by commas`
    ),
    Flag.withDefault<ReadonlyArray<ServiceName>>(serviceNames)
  ),
  data: Flag.String("data").pipe(
    Flag.withMetavar("folder"),
    Flag.withDescription("Keep all data here, instead of in OPSBUDDY_DATA_DIRECTORY or ./data of the installation"),
    Flag.withSchema(Schema.NonEmptyString),
    Flag.optional
  ),
  portBase: Flag.Int("port-base").pipe(
    Flag.withMetavar("port"),
    Flag.withDescription("The gateway's port, which the others follow: N+1 is files; 0 takes free ports"),
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 - serviceNames.length + 1 }))),
    Flag.optional
  ),
  config: Flag.String("config").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription("The gateway's upstreams and routes, instead of OPSBUDDY_GATEWAY_CONFIG or ./opsbuddy.yaml"),
    Flag.withSchema(Schema.NonEmptyString),
    Flag.optional
  ),
  host: Flag.String("host").pipe(
    Flag.withMetavar("address"),
    Flag.withDescription("Where the gateway listens, instead of GATEWAY_HOST or 127.0.0.1; loopback addresses only"),
    Flag.optional
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON line once all is ready; the logs go to standard error"),
    Flag.withDefault(false)
  )
}

const isLoopback = (host: string) => host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)

/** Ends when the terminal is closed, which is a request to stop like Ctrl-C and SIGTERM. */
const hangUp = Effect.callback<never>((resume) => {
  const onHangUp = () => resume(Effect.interrupt)
  process.once("SIGHUP", onHangUp)
  return Effect.sync(() => process.off("SIGHUP", onHangUp))
})

const supervise = Effect.fnUntraced(function* (plan: ReadonlyArray<Plan.Planned>, json: boolean) {
  const ready = yield* Supervisor.start(plan)
  const tookMillis = yield* Effect.sync(() => process.uptime() * 1000)
  const announcement = json ? Announcement.asJson(ready) : Announcement.asText(ready, tookMillis)
  // Not by the console, which on Bun stops everything while nobody reads.
  yield* Effect.sync(() => process.stdout.write(`${announcement}\n`))
  return yield* Effect.never
}, Effect.raceFirst(hangUp))

/**
 * Starts the services, announces them once all are ready, and keeps them running until it is interrupted. What stands in
 * the way, such as a port in use, is refused before anything is started.
 */
export const command = Command.make(
  "up",
  flags,
  Effect.fnUntraced(function* (given) {
    const path = yield* Path.Path
    const settings = yield* load(common("gateway"))
    const host = Option.getOrElse(given.host, () => settings.host)
    if (!isLoopback(host)) return yield* new HostRefused({ host })
    const stream = given.json ? process.stderr : process.stdout
    const logFormat = settings.logFormat === "auto" ? (stream.isTTY ? "pretty" : "json") : settings.logFormat
    const dataDirectory = path.resolve(Option.getOrElse(given.data, () => settings.dataDirectory))
    const wanted = settings.debug && settings.logLevel !== "Trace" ? "Debug" : settings.logLevel
    // A crash loop, which is an error, is never hidden.
    const level = wanted === "Fatal" || wanted === "None" ? "Error" : wanted

    yield* DataLock.acquire(dataDirectory)
    const plan = yield* Plan.make({
      only: given.only,
      host,
      gatewayPort: settings.port,
      portBase: Option.getOrUndefined(given.portBase),
      dataDirectory,
      logFormat,
      configFile: Option.getOrUndefined(Option.map(given.config, (file) => path.resolve(file)))
    })
    // The stop belongs to this scope, outside the race, which would lose how it ended.
    yield* Effect.scoped(supervise(plan, given.json)).pipe(
      Effect.provide(
        Layer.mergeAll(
          Logging.layer({ service: "opsbuddy", level, format: logFormat, stream }),
          LogOutput.layer(stream),
          FetchHttpClient.layer
        )
      )
    )
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Start the gateway and the services, and keep them running. Ctrl-C stops them; a second one kills them. " +
      "GATEWAY_HOST and GATEWAY_PORT choose the gateway's address; SERVICE_HOST and SERVICE_PORT have no effect here."
  )
)
