import * as Defaults from "./Defaults.ts"
import {
  type Entry,
  get,
  type Json,
  type Located,
  located,
  type Mapping,
  mapping,
  omit,
  overlay,
  type Path,
  plain,
  set,
  showPath
} from "./Located.ts"

const byDefault = { from: "default" } as const

const defaults = (value: Json) => located(value, byDefault)

/** An upstream with its defaults, its short forms written out. */
export const upstream = (written: Located): Mapping => {
  let filled = overlayMapping(Defaults.upstream, omit(written, ["disabled"]))
  const targets = get(filled, "targets")
  if (targets?.kind === "list") {
    filled = set(filled, "targets", { ...targets, items: targets.items.map(target) })
  }
  const balance = get(filled, "balance")
  if (balance?.kind === "scalar" && balance.value === "hash") {
    filled = set(filled, "balance", mapping([["hash", located(Defaults.hash, balance.at)]], balance.at))
  }
  const circuit = get(written, "circuit")
  const failureRate = get(circuit, "failureRate")
  if (circuit?.kind === "map" && failureRate !== undefined) {
    const { consecutiveFailures: _, ...base } = Defaults.upstream.circuit
    filled = set(filled, "circuit", overlayMapping({ ...base, failureRate: Defaults.failureRate }, circuit))
  }
  return startingWith("targets", filled)
}

const target = (written: Located) =>
  overlay(defaults(Defaults.target), written.kind === "scalar" ? mapping([["url", written]], written.at) : written)

/** A route with its defaults. What it says on retries only in part is completed from its upstream. */
export const route = (written: Located, upstream: Located | undefined): Mapping => {
  let filled = overlayMapping(Defaults.route, omit(written, ["disabled"]))
  for (const [key, base] of [
    ["redirect", Defaults.redirect],
    ["limit", { ...Defaults.limit, ...burst(get(written, "limit")) }],
    ["cors", Defaults.cors]
  ] as const) {
    const value = get(written, key)
    if (value !== undefined) filled = set(filled, key, overlay(defaults(base), value))
  }
  const retry = get(filled, "retry")
  const backoff = get(retry, "backoff")
  if (retry?.kind === "map" && backoff !== undefined) {
    filled = set(filled, "retry", set(retry, "backoff", overlay(get(get(upstream, "retry"), "backoff"), backoff)))
  }
  const place = get(filled, "path") ?? get(filled, "exact")
  if (place === undefined) filled = set(filled, "path", defaults("/"))
  if (get(filled, "name") === undefined) filled = set(filled, "name", defaults(nameOf(filled)))
  return startingWith("name", filled)
}

const startingWith = (key: string, base: Mapping): Mapping => {
  const entry = base.entries.get(key)
  return entry === undefined ? base : { ...base, entries: new Map([[key, entry], ...base.entries]) }
}

const burst = (limit: Located | undefined) => {
  const rate = /^\d+/.exec(textOf(get(limit, "rate")) ?? "")?.[0]
  return rate === undefined ? {} : { burst: Number(rate) }
}

/** What a route is called that has no name: the requests that it takes. */
export const nameOf = (route: Located): string => {
  const methods = get(route, "methods")
  const exact = textOf(get(route, "exact"))
  const path = exact === undefined ? (textOf(get(route, "path")) ?? "/") : `=${exact}`
  const prefix = methods?.kind === "list" && methods.items.length > 0 ? `${methods.items.map(textOf).join(",")} ` : ""
  return `${prefix}${textOf(get(route, "host")) ?? ""}${path}`
}

export const textOf = (value: Located | undefined): string | undefined =>
  value?.kind === "scalar" && typeof value.value === "string" ? value.value : undefined

/** What is neither upstreams nor routes, with its defaults. */
export const rest = (written: Located): Mapping => overlayMapping(Defaults.rest, omit(written, ["upstreams", "routes"]))

/** What is no mapping, and so a mistake, says nothing. */
const overlayMapping = (base: Json, over: Located): Mapping => {
  const merged = overlay(defaults(base), over)
  return merged.kind === "map" ? merged : mapping([], merged.at)
}

/** Where a value of the effective configuration comes from. What has no such entry comes from the defaults. */
export interface ValueOrigin {
  /** As in `upstreams.shop.targets[0].url`. */
  readonly path: string
  readonly from: "built-in" | "file"
  /** In the file, counted from 1. */
  readonly line?: number
  readonly column?: number
}

/** All that the gateway goes by, in the form of the file, with secrets hidden, and where each value comes from. */
export interface Effective {
  readonly document: Json
  readonly origins: ReadonlyArray<ValueOrigin>
}

export const effective = (
  upstreams: Iterable<readonly [name: string, Mapping]>,
  routes: ReadonlyArray<Mapping>,
  rest: Mapping
): Effective => {
  const entries: Array<readonly [string, Located]> = [
    ["upstreams", mapping(upstreams, byDefault)],
    ["routes", { kind: "list", items: routes, at: byDefault }],
    ...[...rest.entries].map(([key, { value }]) => [key, value] as const)
  ]
  const root = mapping(entries, byDefault)
  return { document: plain(hide(root)), origins: [...originsOf(root, [])] }
}

/** A list of plain values is one value. */
function* originsOf(value: Located, path: Path): Generator<ValueOrigin> {
  if (value.kind === "map" && value.entries.size > 0) {
    for (const [key, entry] of value.entries) yield* originsOf(entry.value, [...path, key])
  } else if (value.kind === "list" && value.items.some((item) => item.kind !== "scalar")) {
    for (const [index, item] of value.items.entries()) yield* originsOf(item, [...path, index])
  } else if (value.at.from !== "default") {
    yield { path: showPath(path), ...value.at }
  }
}

const secretHeader = /auth|cookie|token|secret|key|password|credential|session/i

/** Header values are hidden by the header's name, and the password of a URL always. */
const hide = (value: Located, key = "", parent = ""): Located => {
  switch (value.kind) {
    case "list":
      return { ...value, items: value.items.map((item) => hide(item)) }
    case "map": {
      const entries = Array.from(value.entries, ([name, entry]): [string, Entry] => [
        name,
        { ...entry, value: hide(entry.value, name, key) }
      ])
      return { ...value, entries: new Map(entries) }
    }
    case "scalar": {
      if (typeof value.value !== "string") return value
      if ((parent === "set" || parent === "headers") && secretHeader.test(key)) return { ...value, value: "<hidden>" }
      return { ...value, value: value.value.replace(/^(\w+:\/\/[^\s/:@]*):[^\s/]*@/, "$1:<hidden>@") }
    }
  }
}
