import { fileURLToPath } from "node:url"
import { defaultPorts, type ServiceName } from "@opsbuddy/contract/Wire"
import { Config, Effect, Schema, SchemaTransformation } from "effect"
import type { LogLevel } from "effect/LogLevel"
import { optional, type Values, variable } from "./Variables.ts"

/** `data` in the installation's own folder, so that it is the same from wherever a program is started. */
const dataDirectory = fileURLToPath(new URL("../../../data", import.meta.url))

const levels = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  warning: "Warn",
  error: "Error",
  fatal: "Fatal",
  none: "None"
} as const satisfies Record<string, LogLevel>

const isLevel = (name: string): name is keyof typeof levels => Object.hasOwn(levels, name)

const Level = Schema.String.pipe(
  Schema.decode(SchemaTransformation.toLowerCase()),
  Schema.refine(isLevel, { expected: `one of ${Object.keys(levels).join(", ")} in any case` })
)

const logLevel = (name: string) => Config.map(Config.schema(Level, name), (level): LogLevel => levels[level])

/** A port of 0 lets the system choose. */
const port = (name: string) =>
  Config.schema(Schema.NumberFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 65535 })), name)

/** One or more `http://host:port`, separated by commas, without a path. */
const Urls = Schema.String.check(
  Schema.isPattern(/^https?:\/\/[^/?#,\s]+(,https?:\/\/[^/?#,\s]+)*$/, {
    expected: "one or more http://host:port, separated by commas, without a path"
  })
)

/** Where a service is; the first of several is the one that other services send to. */
export const serviceUrls = (service: Exclude<ServiceName, "gateway">) =>
  variable(
    `OPSBUDDY_${service.toUpperCase()}_URL`,
    (name) =>
      Config.map(Config.schema(Urls, name), (list): readonly [string, ...Array<string>] => {
        const [first = "", ...rest] = list.split(",")
        return [first, ...rest]
      }),
    {
      description: `where the ${service} service is; several targets are separated by commas`,
      fallback: `http://127.0.0.1:${defaultPorts[service]}`
    }
  )

const ofInfluxdb =
  "of an InfluxDB store, which this release does not have: the embedded store is used, and the start warns"

/** Variables of a store that is still to come, declared so that nobody sets them and believes that they do something. */
export const influxdb = {
  influxdbHost: optional("INFLUXDB_HOST", Config.NonEmptyString, { description: `host ${ofInfluxdb}` }),
  influxdbPort: optional("INFLUXDB_PORT", port, { description: `port ${ofInfluxdb}` }),
  influxdbToken: optional("INFLUXDB_TOKEN", Config.Redacted, { description: `token ${ofInfluxdb}`, secret: true }),
  influxdbOrg: optional("INFLUXDB_ORG", Config.NonEmptyString, { description: `organisation ${ofInfluxdb}` }),
  influxdbDatabase: optional("INFLUXDB_DATABASE", Config.NonEmptyString, { description: `bucket ${ofInfluxdb}` })
}

/** Says at the start which of those variables are set to no effect. */
export const warnOfInfluxdb = (settings: Values<typeof influxdb>) => {
  const set = Object.entries(influxdb).flatMap(([key, { name }]) =>
    Reflect.get(settings, key) === undefined ? [] : [name]
  )
  return set.length === 0
    ? Effect.void
    : Effect.logWarning("InfluxDB is not used, data is kept in the embedded store", { set })
}

/** The variables that every program has; the gateway's host and port have names of their own. */
export const common = (service: ServiceName) => {
  const prefix = service === "gateway" ? "GATEWAY" : "SERVICE"
  return {
    host: variable(`${prefix}_HOST`, Config.NonEmptyString, {
      description: "address to listen on",
      fallback: "127.0.0.1"
    }),
    port: variable(`${prefix}_PORT`, port, {
      description: "port to listen on; 0 takes a free one",
      fallback: String(defaultPorts[service])
    }),
    logLevel: variable("LOG_LEVEL", logLevel, {
      description: `least severe level that is logged: ${Object.keys(levels).join(", ")}`,
      fallback: "info"
    }),
    debug: variable("DEBUG", Config.Boolean, { description: "true is LOG_LEVEL=debug", fallback: "false" }),
    logFormat: variable("OPSBUDDY_LOG_FORMAT", (name) => Config.Literals(["auto", "json", "pretty"], name), {
      description: "json lines, pretty lines, or pretty on a terminal only",
      fallback: "auto"
    }),
    dataDirectory: variable("OPSBUDDY_DATA_DIRECTORY", Config.NonEmptyString, {
      description: "folder that all data is kept in; each service has a folder of its own in it",
      fallback: dataDirectory
    }),
    timeseriesUrls: serviceUrls("timeseries")
  }
}
