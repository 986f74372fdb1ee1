import { defaultPorts, type ServiceName, serviceNames } from "@opsbuddy/contract/Wire"
import { Config, Effect } from "effect"
import * as Ports from "./Ports.ts"

/** A service that is to be started: where it listens, and what is added to its environment. */
export interface Planned {
  readonly service: ServiceName
  readonly url: string
  readonly environment: Readonly<Record<string, string>>
}

export interface PlanOptions {
  readonly only: ReadonlyArray<ServiceName>
  /** Of the gateway; services are always on 127.0.0.1. */
  readonly host: string
  /** Of the gateway, where there is no `portBase`. */
  readonly gatewayPort: number
  /** The gateway's port; the others follow it in order. 0 takes free ports for all. */
  readonly portBase: number | undefined
  /** Absolute. */
  readonly dataDirectory: string
  readonly logFormat: "json" | "pretty"
  /** Absolute; the gateway's, where it is given. */
  readonly configFile: string | undefined
}

const wantedPort = (service: ServiceName, { gatewayPort, portBase }: PlanOptions) => {
  if (portBase === undefined) return service === "gateway" ? gatewayPort : defaultPorts[service]
  return portBase === 0 ? 0 : portBase + serviceNames.indexOf(service)
}

const urlOf = ({ host, port }: Ports.Address) => `http://${host.includes(":") ? `[${host}]` : host}:${port}`

const urlVariable = (service: ServiceName) => `OPSBUDDY_${service.toUpperCase()}_URL`

/**
 * Plans what is to be started, after a look that every port can be had. A service that is not started keeps the URL that
 * the environment gives it, and otherwise has the one where it would be.
 */
export const make = Effect.fn("Plan.make")(function* (options: PlanOptions) {
  const wanted = serviceNames.map(
    (service): Ports.Address => ({
      service,
      host: service === "gateway" ? options.host : "127.0.0.1",
      port: wantedPort(service, options)
    })
  )
  const isStarted = (service: ServiceName) => options.only.includes(service)
  const resolved = yield* Ports.resolve(wanted.filter(({ port, service }) => isStarted(service) || port === 0))
  const addresses = wanted.map((address) => resolved.find(({ service }) => service === address.service) ?? address)
  const urls: Record<string, string> = {}
  for (const address of addresses) {
    if (address.service === "gateway") continue
    const name = urlVariable(address.service)
    const isSet = (yield* Config.option(Config.String(name)))._tag === "Some"
    if (isStarted(address.service) || !isSet) urls[name] = urlOf(address)
  }
  return addresses
    .filter(({ service }) => isStarted(service))
    .map((address): Planned => {
      const prefix = address.service === "gateway" ? "GATEWAY" : "SERVICE"
      return {
        service: address.service,
        url: urlOf(address),
        environment: {
          ...urls,
          [`${prefix}_HOST`]: address.host,
          [`${prefix}_PORT`]: String(address.port),
          OPSBUDDY_DATA_DIRECTORY: options.dataDirectory,
          OPSBUDDY_LOG_FORMAT: options.logFormat,
          ...(options.configFile === undefined ? {} : { OPSBUDDY_GATEWAY_CONFIG: options.configFile }),
          OPSBUDDY_SUPERVISED: "1"
        }
      }
    })
})
