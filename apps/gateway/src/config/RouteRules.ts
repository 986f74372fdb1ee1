import type { Route, Upstream } from "./ConfigDocument.ts"
import { textOf } from "./Effective.ts"
import { atMost, faultIn, type Item, unknownDisabled } from "./Item.ts"
import { find, get, isEmpty } from "./Located.ts"
import { type Fault, suggest } from "./Mistake.ts"

/** What requests are recorded under that no route takes. */
const reserved = ["none"]

/** What has no meaning where no upstream is asked. */
const forUpstreams = ["timeouts", "retry", "stripPrefix", "replacePrefix", "requestHeaders", "maxBody"]

/** What is wrong with a route by itself, although each of its values is well formed. */
export const routeFaults = (item: Item<Route>, builtIn: ReadonlyArray<string>): ReadonlyArray<Fault> => {
  const { disabled, filled, name, written } = item
  const fault = faultIn(item)
  const has = (key: string) => get(written, key) !== undefined
  const both = (key: string, other: string) =>
    has(key) && has(other) ? [fault([key], `is there beside ${other}: a route has one of both`, "key")] : []
  const faults = [
    ...both("exact", "path"),
    ...both("redirect", "upstream"),
    ...both("replacePrefix", "stripPrefix"),
    ...headerFaults(item)
  ]
  if (reserved.includes(name)) faults.push(fault(["name"], "is a name that the gateway uses itself"))
  const isPlaced = has("path") || has("exact") || has("host")
  if (disabled) {
    if (!isPlaced && !has("name")) faults.push(fault([], "is disabled, and needs the name of a built-in route"))
    else if (!isPlaced && !builtIn.includes(name)) faults.push(fault(["name"], unknownDisabled("route", builtIn)))
    return faults
  }
  if (!isPlaced) faults.push(fault([], "needs a path, an exact path or a host"))
  if (!has("upstream") && !has("redirect")) faults.push(fault([], "needs an upstream or a redirect"))
  if (has("redirect") && !has("upstream")) {
    for (const key of forUpstreams) {
      const value = get(written, key)
      if (value !== undefined && !isEmpty(value)) faults.push(fault([key], "has no effect on a redirect", "key"))
    }
  }
  if (filled?.cors?.credentials === true && filled.cors.origins.includes("*")) {
    faults.push(fault(["cors", "origins"], "must name the origins where credentials are allowed, not *"))
  }
  return faults
}

/** Those of a connection: the gateway's to the upstream is another than the client's to the gateway. */
const ofConnection = [
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
]

const headerFaults = (item: Item<Route>): ReadonlyArray<Fault> => {
  const fault = faultIn(item)
  const faults: Array<Fault> = []
  for (const where of [["headers"], ["requestHeaders", "set"], ["responseHeaders", "set"]]) {
    const { value } = find(item.written, where)
    const seen = new Set<string>()
    for (const name of value?.kind === "map" ? value.entries.keys() : []) {
      const lower = name.toLowerCase()
      if (seen.has(lower)) faults.push(fault([...where, name], "is there already in other letters", "key"))
      else if (where.length > 1 && ofConnection.includes(lower)) {
        faults.push(fault([...where, name], "belongs to the connection, which a route does not choose", "key"))
      }
      seen.add(lower)
    }
  }
  return faults
}

/** What is wrong between a route and its upstream. */
export const referenceFaults = (
  item: Item<Route>,
  upstreams: ReadonlyMap<string, Item<Upstream>>
): ReadonlyArray<Fault> => {
  const name = textOf(get(item.written, "upstream"))
  if (name === undefined) return []
  const fault = faultIn(item)
  const upstream = upstreams.get(name)
  if (upstream === undefined) {
    return [fault(["upstream"], `is not the name of an upstream; ${suggest(name, [...upstreams.keys()], "those are")}`)]
  }
  if (upstream.disabled) {
    return item.from === "built-in"
      ? [faultIn(upstream)(["disabled"], `leaves the built-in route ${item.name} without it: disable that too`)]
      : [fault(["upstream"], `is ${name}, which is disabled`)]
  }
  if (item.filled === undefined || upstream.filled === undefined) return []
  const timeouts = { ...upstream.filled.timeouts, ...item.filled.timeouts }
  const backoff = item.filled.retry.backoff
  return [
    ...(Object.keys(item.filled.timeouts).length === 0
      ? []
      : atMost(item, ["timeouts"], ["attempt", timeouts.attempt], ["total", timeouts.total])),
    ...(backoff === undefined ? [] : atMost(item, ["retry", "backoff"], ["base", backoff.base], ["max", backoff.max]))
  ]
}

/** Names tell routes apart, and no two routes take the same requests: host, path, method and headers together. */
export const duplicateFaults = (routes: ReadonlyArray<Item<Route>>): ReadonlyArray<Fault> => {
  const faults: Array<Fault> = []
  const names = new Map<string, Item<Route>>()
  const matches = new Map<string, Item<Route>>()
  for (const route of routes) {
    const named = names.get(route.name)
    if (named === undefined) names.set(route.name, route)
    else faults.push(nameFault(route, named))
    const same = matchesOf(route).flatMap((match) => matches.get(match) ?? [])[0]
    for (const match of matchesOf(route)) matches.set(match, matches.get(match) ?? route)
    if (same !== undefined) faults.push(matchFault(route, same))
  }
  return faults
}

const nameFault = (item: Item<Route>, other: Item<Route>) =>
  get(item.written, "name") === undefined
    ? faultIn(item)([], `needs a name: without one it is called ${item.name}, as routes[${other.path.at(-1)}] is`)
    : faultIn(item)(["name"], `is the name of routes[${other.path.at(-1)}]`)

/** Routes of the file come before those that are built in, so of the two the file's is the one to change. */
const matchFault = (item: Item<Route>, other: Item<Route>) =>
  item.from !== other.from
    ? faultIn(other)([], `takes the same requests as the built-in route ${item.name}: name it so, or disable that one`)
    : faultIn(item)([], `takes the same requests as routes[${other.path.at(-1)}], ${other.name}`)

const matchesOf = ({ filled }: Item<Route>): ReadonlyArray<string> => {
  if (filled === undefined) return []
  const headers = Object.entries(filled.headers)
    .map(([name, value]): [string, string] => [name.toLowerCase(), value])
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const methods = filled.methods ?? [""]
  return methods.map((method) =>
    JSON.stringify([filled.host?.toLowerCase(), filled.exact ?? "", filled.path ?? "", method, headers])
  )
}
