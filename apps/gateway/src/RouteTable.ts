/** A path and all below it, and the upstream that serves them. The name stands in logs, records and metrics. */
export interface Route {
  readonly name: string
  readonly path: `/${string}`
  readonly upstream: string
}

/** The domains of OpsBuddy: routes like any other. */
export const builtIn: ReadonlyArray<Route> = [
  { name: "files", path: "/api/files", upstream: "files" },
  { name: "utility", path: "/api/utils", upstream: "utility" },
  { name: "analytics", path: "/api/analytics", upstream: "analytics" },
  { name: "timeseries", path: "/api/timeseries", upstream: "timeseries" }
]

/** What a request is recorded under that no route matches, and that the gateway does not serve itself either. */
export const none: Route = { name: "none", path: "/", upstream: "gateway" }

/** Finds the route of a path, given without its query: the longest that the path is, or lies below. */
export type RouteTable = (path: string) => Route | undefined

export const make = (routes: ReadonlyArray<Route>): RouteTable => {
  const byPath = new Map<string, Route>(routes.map((route) => [route.path, route]))
  return (path) => {
    for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
      const route = byPath.get(path.slice(0, end))
      if (route !== undefined) return route
    }
    return undefined
  }
}

/** What URL parsers take for a slash or a dot although it is written in another way, or resolve away. */
const suspicious = /%2e|%2f|%5c|\\|\/\.\.?(\/|$)/i

/**
 * Whether a path could mean another one to the server behind: one that holds dot segments, encoded or not, backslashes
 * or encoded slashes. URL parsers resolve those, so the path might leave the route that it matched.
 */
export const isAmbiguous = (path: string) => suspicious.test(path)
