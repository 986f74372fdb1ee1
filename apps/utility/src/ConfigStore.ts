import type { StoreProblem } from "@opsbuddy/contract/Problems"
import { ConfigEntry, type ConfigKey, ConfigNotFound } from "@opsbuddy/contract/Utility"
import { Context, DateTime, Effect, Layer, type Schema } from "effect"

/** Which entries of the list are wanted. `prefix` is compared exactly, `cursor` is the `nextCursor` of the page before. */
export interface ConfigSelection {
  readonly prefix?: string
  readonly cursor?: string
  /** How many entries at the most; 100 when absent. */
  readonly limit?: number
}

/** Entries in the order of their keys' bytes. `nextCursor` is there exactly when more follow. */
export interface ConfigPage {
  readonly items: ReadonlyArray<ConfigEntry>
  readonly nextCursor?: string
}

export const defaultLimit = 100

/** Keeps a JSON value by key. Backends: `layerMemory`, `ConfigStoreSqlite`. */
export class ConfigStore extends Context.Service<
  ConfigStore,
  {
    /**
     * A page may be shorter than its limit, because large values fill it sooner. Going on by cursor shows every entry that
     * is there all the time exactly once, whatever is set and removed meanwhile.
     */
    list(selection: ConfigSelection): Effect.Effect<ConfigPage, StoreProblem>
    get(key: ConfigKey): Effect.Effect<ConfigEntry, ConfigNotFound | StoreProblem>
    /**
     * Sets the value and counts its version up by one, also when the value is the same; a key that is not there begins at
     * version 1, also when it was there before. Each of any number of simultaneous calls gets a version of its own.
     */
    set(key: ConfigKey, value: Schema.Json, modifiedBy: string): Effect.Effect<ConfigEntry, StoreProblem>
    remove(key: ConfigKey): Effect.Effect<void, ConfigNotFound | StoreProblem>
  }
>()("@opsbuddy/utility/ConfigStore") {
  static readonly layerMemory = Layer.sync(ConfigStore, () => {
    const entries = new Map<ConfigKey, ConfigEntry>()
    return ConfigStore.of({
      list: ({ cursor = "", limit = defaultLimit, prefix = "" }) =>
        Effect.sync(() => {
          const found = [...entries.values()]
            .filter(({ key }) => key > cursor && key.startsWith(prefix))
            .sort((a, b) => (a.key < b.key ? -1 : 1))
          return pageOf(found.slice(0, limit), found.length > limit)
        }),
      get: Effect.fnUntraced(function* (key) {
        const entry = entries.get(key)
        return entry === undefined ? yield* new ConfigNotFound({ key }) : entry
      }),
      set: Effect.fnUntraced(function* (key, value, modifiedBy) {
        const version = (entries.get(key)?.version ?? 0) + 1
        const entry = new ConfigEntry({ key, value, version, modifiedAt: yield* DateTime.now, modifiedBy })
        entries.set(key, entry)
        return entry
      }),
      remove: Effect.fnUntraced(function* (key) {
        if (!entries.delete(key)) return yield* new ConfigNotFound({ key })
      })
    })
  })
}

/** The page of these entries: the last one's key is the cursor, so any string is a valid cursor. */
export const pageOf = (items: ReadonlyArray<ConfigEntry>, more: boolean): ConfigPage => {
  const last = items.at(-1)
  return more && last !== undefined ? { items, nextCursor: last.key } : { items }
}
