import type * as Route from "./Route.ts"
import * as RouteTable from "./RouteTable.ts"

const normal = (url: string) => {
  const query = url.indexOf("?")
  return query === -1 ? RouteTable.comparable(url) : RouteTable.comparable(url.slice(0, query)) + url.slice(query)
}

/** The path and query for the upstream, where the route puts another prefix in the place of its own. */
export const upstreamUrl = (url: string, { path, replacePrefix }: Route.Route["config"]) => {
  if (replacePrefix === undefined) return url
  // A path that is written in another way than the route's is cut where it is the same.
  const same = url.startsWith(path) ? url : normal(url)
  const rest = same.slice(path.endsWith("/") ? path.length - 1 : path.length)
  const joined = `${replacePrefix.endsWith("/") ? replacePrefix.slice(0, -1) : replacePrefix}${rest}`
  return joined.startsWith("/") ? joined : `/${joined}`
}
