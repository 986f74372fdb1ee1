/** Where a value comes from. `line` and `column` count from 1. */
export type Origin =
  | { readonly from: "default" }
  | { readonly from: "built-in" }
  | { readonly from: "file"; readonly line: number; readonly column: number }

/** A value as a document has it, and where each part of it comes from. */
export type Located =
  | { readonly kind: "scalar"; readonly value: string | number | boolean | null; readonly at: Origin }
  | { readonly kind: "list"; readonly items: ReadonlyArray<Located>; readonly at: Origin }
  | Mapping

export interface Mapping {
  readonly kind: "map"
  readonly entries: ReadonlyMap<string, Entry>
  readonly at: Origin
}

/** `key` is where the setting's name stands. */
export interface Entry {
  readonly key: Origin
  readonly value: Located
}

export type Path = ReadonlyArray<string | number>

/** A value without its places; what it holds is JSON. */
export type Json = string | number | boolean | null | ReadonlyArray<Json> | { readonly [key: string]: Json }

export const plain = (located: Located): Json => {
  switch (located.kind) {
    case "scalar":
      return located.value
    case "list":
      return located.items.map(plain)
    case "map":
      // Not by assignment, which for the key `__proto__` would do something else.
      return Object.fromEntries([...located.entries].map(([key, entry]) => [key, plain(entry.value)]))
  }
}

/** A plain value, all of which comes from one place. */
export const located = (value: Json | undefined, at: Origin): Located => {
  if (value === undefined) return { kind: "map", entries: new Map(), at }
  if (value === null || typeof value !== "object") return { kind: "scalar", value, at }
  if (isList(value)) return { kind: "list", items: value.map((item) => located(item, at)), at }
  return mapping(
    Object.entries(value).map(([key, item]) => [key, located(item, at)]),
    at
  )
}

const isList = (value: Json): value is ReadonlyArray<Json> => Array.isArray(value)

/** A mapping of such entries, whose keys are where their values are. */
export const mapping = (entries: Iterable<readonly [string, Located]>, at: Origin): Mapping => ({
  kind: "map",
  entries: new Map(Array.from(entries, ([key, value]) => [key, { key: value.at, value }])),
  at
})

/** What a mapping has under this key; `undefined` too when it is no mapping. */
export const get = (located: Located | undefined, key: string): Located | undefined =>
  located?.kind === "map" ? located.entries.get(key)?.value : undefined

/** Whether it holds no value at all, however many mappings and lists. */
export const isEmpty = (value: Located): boolean => {
  if (value.kind === "scalar") return false
  const within = value.kind === "list" ? value.items : Array.from(value.entries.values(), (entry) => entry.value)
  return within.every(isEmpty)
}

/** The same mapping with this entry in place of what it had under the key. */
export const set = (base: Mapping, key: string, value: Located): Mapping => ({
  ...base,
  entries: new Map(base.entries).set(key, { key: base.entries.get(key)?.key ?? value.at, value })
})

/** The same without these keys. */
export const omit = (base: Located, keys: ReadonlyArray<string>): Located =>
  base.kind === "map" ? { ...base, entries: new Map([...base.entries].filter(([key]) => !keys.includes(key))) } : base

/** What `over` says, and where it says nothing what `base` does. Lists are taken whole. */
export const overlay = (base: Located | undefined, over: Located): Located => {
  if (base?.kind !== "map" || over.kind !== "map") return over
  const entries = new Map(base.entries)
  for (const [key, entry] of over.entries) {
    entries.set(key, { key: entry.key, value: overlay(base.entries.get(key)?.value, entry.value) })
  }
  return { kind: "map", entries, at: over.at }
}

/** What stands at a path, as far as the path leads: where the value is, and where its key is when it has one. */
export const find = (
  root: Located,
  path: Path
): { readonly at: Origin; readonly key: Origin; readonly value: Located | undefined } => {
  let value = root
  let key = root.at
  for (const step of path) {
    const entry = value.kind === "map" ? value.entries.get(String(step)) : undefined
    const item = value.kind === "list" && typeof step === "number" ? value.items[step] : undefined
    const next = entry?.value ?? item
    if (next === undefined) return { at: key, key, value: undefined }
    key = entry?.key ?? next.at
    value = next
  }
  return { at: value.at, key, value }
}

/** A path as it is shown: `routes[2].limit.rate`. */
export const showPath = (path: Path): string =>
  path
    .map((step, index) =>
      typeof step === "number"
        ? `[${step}]`
        : /^[\w-]+$/.test(step)
          ? `${index === 0 ? "" : "."}${step}`
          : `[${JSON.stringify(step)}]`
    )
    .join("")
