import { serviceUrls } from "@opsbuddy/runtime/Settings"

/** Where the upstreams are, beside timeseries, which every program knows. */
export const variables = {
  filesUrls: serviceUrls("files"),
  utilityUrls: serviceUrls("utility"),
  analyticsUrls: serviceUrls("analytics")
}
