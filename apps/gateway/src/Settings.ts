import { serviceUrls } from "@opsbuddy/runtime/Settings"
import { variable } from "@opsbuddy/runtime/Variables"
import { Config } from "effect"

/** In the working directory. */
export const usualConfigFile = "opsbuddy.yaml"

/** Where the upstreams are, beside timeseries, which every program knows, and what the gateway keeps. */
export const variables = {
  filesUrls: serviceUrls("files"),
  utilityUrls: serviceUrls("utility"),
  analyticsUrls: serviceUrls("analytics"),
  configFile: variable("OPSBUDDY_GATEWAY_CONFIG", Config.NonEmptyString, {
    description: "file with upstreams and routes; the default need not be there",
    fallback: usualConfigFile
  }),
  accountBytes: variable("OPSBUDDY_GATEWAY_ACCOUNT_BYTES", Config.ByteSize, {
    description: "memory for the account of the last requests, of which there are at most 100,000",
    fallback: "64 MiB"
  })
}
