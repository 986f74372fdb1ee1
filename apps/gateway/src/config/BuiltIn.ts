import type { ConfigDocument } from "./ConfigDocument.ts"

/** Where the domains are: the settings that come from the variables `OPSBUDDY_<DOMAIN>_URL`. */
export interface Urls {
  readonly filesUrls: ReadonlyArray<string>
  readonly utilityUrls: ReadonlyArray<string>
  readonly analyticsUrls: ReadonlyArray<string>
  readonly timeseriesUrls: ReadonlyArray<string>
}

/** The domains of OpsBuddy, as a user would write them in the file. */
export const document = (urls: Urls): ConfigDocument => ({
  upstreams: {
    files: upstream(urls.filesUrls),
    utility: upstream(urls.utilityUrls),
    analytics: upstream(urls.analyticsUrls),
    timeseries: upstream(urls.timeseriesUrls)
  },
  routes: [
    { name: "files", path: "/api/files", upstream: "files" },
    { name: "utility", path: "/api/utils", upstream: "utility" },
    { name: "analytics", path: "/api/analytics", upstream: "analytics" },
    { name: "timeseries", path: "/api/timeseries", upstream: "timeseries" }
  ]
})

const upstream = (targets: ReadonlyArray<string>) => ({
  targets,
  timeouts: { attempt: "30s" },
  health: { every: "5s" }
})
