import { strict } from "@opsbuddy/contract/Wire"
import { Option, Result, Schema } from "effect"
import { ConfigDocument, Route, Upstream } from "./ConfigDocument.ts"
import * as Effective from "./Effective.ts"
import type { Item } from "./Item.ts"
import { get, type Located, type Mapping, type Path, plain, showPath } from "./Located.ts"
import { type Fault, faultsOf } from "./Mistake.ts"

/** A document taken apart, and what is wrong with single values of it. */
export interface Parts {
  readonly faults: ReadonlyArray<Fault>
  readonly upstreams: ReadonlyArray<Item<Upstream>>
  readonly routes: ReadonlyArray<Item<Route>>
}

const decodeDocument = Schema.decodeUnknownResult(ConfigDocument, strict)
const decodeUpstream = Schema.decodeUnknownOption(Upstream, strict)
const decodeRoute = Schema.decodeUnknownOption(Route, strict)

/** Takes a document apart that is written over these upstreams. */
export const read = (root: Located, from: Fault["from"], under: ReadonlyArray<Item<Upstream>>): Parts => {
  const document = decodeDocument(plain(root))
  const faults = Result.isFailure(document) ? faultsOf(document.failure.issue, root, from) : []
  const mistaken = new Set(faults.map(({ path }) => showPath(path.slice(0, 2))))
  const item = <Filled>(
    name: string,
    path: Path,
    written: Located,
    effective: Mapping,
    decode: (effective: unknown) => Option.Option<Filled>
  ): Item<Filled> => {
    const disabled = get(written, "disabled")
    return {
      name,
      from,
      path,
      disabled: disabled?.kind === "scalar" && disabled.value === true,
      written,
      effective,
      filled: mistaken.has(showPath(path)) ? undefined : Option.getOrUndefined(decode(plain(effective)))
    }
  }

  const upstreams = entriesOf(get(root, "upstreams")).map(([name, written]) =>
    item(name, ["upstreams", name], written, Effective.upstream(written), decodeUpstream)
  )
  const byName = new Map([...under, ...upstreams].map((upstream) => [upstream.name, upstream]))
  const routes = itemsOf(get(root, "routes")).flatMap((written, index) => {
    if (written.kind !== "map") return []
    const upstream = byName.get(Effective.textOf(get(written, "upstream")) ?? "")
    const effective = Effective.route(written, upstream?.effective)
    const name = Effective.textOf(get(effective, "name")) ?? ""
    return [item(name, ["routes", index], written, effective, decodeRoute)]
  })
  return { faults, upstreams, routes }
}

const entriesOf = (value: Located | undefined) =>
  value?.kind === "map" ? Array.from(value.entries, ([key, entry]) => [key, entry.value] as const) : []

const itemsOf = (value: Located | undefined) => (value?.kind === "list" ? value.items : [])
