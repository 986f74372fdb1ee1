import { PreconditionFailed, type StoreProblem } from "@opsbuddy/contract/Problems"
import { type ConfigKey, ConfigNotFound } from "@opsbuddy/contract/Utility"
import type * as Conditions from "@opsbuddy/runtime/Conditions"
import { Context, DateTime, Effect, Layer } from "effect"

/** A configuration as it is kept: `json` is its value, without white space and with the digits that were sent. */
export interface StoredConfig {
  readonly key: ConfigKey
  readonly json: string
  readonly version: number
  readonly modifiedAt: DateTime.Utc
  readonly modifiedBy: string
}

/** Which entries of the list are wanted. `prefix` is compared exactly, `cursor` is the `nextCursor` of the page before. */
export interface ConfigSelection {
  readonly prefix?: string
  readonly cursor?: string
  /** How many entries at the most; 100 when absent. */
  readonly limit?: number
}

/** Entries in the order of their keys' bytes. `nextCursor` is there exactly when more follow. */
export interface ConfigPage {
  readonly items: ReadonlyArray<StoredConfig>
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
    get(key: ConfigKey): Effect.Effect<StoredConfig, ConfigNotFound | StoreProblem>
    /**
     * Sets the value where the conditions hold, and counts its version up by one, also when the value is the same, and from where it
     * was before a removal; a new key begins at 1. Each of any number of simultaneous calls gets a version of its own.
     */
    set(
      key: ConfigKey,
      json: string,
      modifiedBy: string,
      conditions: Conditions.Conditions
    ): Effect.Effect<StoredConfig, PreconditionFailed | StoreProblem>
    /** Removes the entry where the conditions hold; works on a full disk, too. */
    remove(
      key: ConfigKey,
      conditions: Conditions.Conditions
    ): Effect.Effect<void, ConfigNotFound | PreconditionFailed | StoreProblem>
  }
>()("@opsbuddy/utility/ConfigStore") {
  static readonly layerMemory = Layer.sync(ConfigStore, () => {
    const entries = new Map<ConfigKey, StoredConfig>()
    const removed = new Map<ConfigKey, number>()
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
      set: Effect.fnUntraced(function* (key, json, modifiedBy, conditions) {
        const modifiedAt = yield* DateTime.now
        const present = entries.get(key)
        yield* proceeds(conditions, present)
        const version = (present?.version ?? removed.get(key) ?? 0) + 1
        const entry = { key, json, version, modifiedAt, modifiedBy }
        entries.set(key, entry)
        removed.delete(key)
        return entry
      }),
      remove: Effect.fnUntraced(function* (key, conditions) {
        const present = entries.get(key)
        yield* proceeds(conditions, present)
        if (present === undefined) return yield* new ConfigNotFound({ key })
        entries.delete(key)
        removed.set(key, present.version)
      })
    })
  })
}

/** The page of these entries: the last one's key is the cursor, so any string is a valid cursor. */
export const pageOf = (items: ReadonlyArray<StoredConfig>, more: boolean): ConfigPage => {
  const last = items.at(-1)
  return more && last !== undefined ? { items, nextCursor: last.key } : { items }
}

export const etagOf = ({ version }: { readonly version: number }) => `"${version}"`

type Present = Pick<StoredConfig, "modifiedAt" | "version"> | undefined

const verdict = (conditions: Conditions.Conditions, present: Present) =>
  conditions.check(present && { etag: etagOf(present), modifiedAt: present.modifiedAt })

/** Fails unless the conditions hold for what is there; to be asked in the transaction that changes it. */
export const proceeds = (
  conditions: Conditions.Conditions,
  present: Present
): Effect.Effect<void, PreconditionFailed> =>
  verdict(conditions, present) === "failed"
    ? Effect.fail(new PreconditionFailed(present === undefined ? {} : { etag: etagOf(present) }))
    : Effect.void

/** Whether who reads under these conditions has it already. */
export const isKnown = (conditions: Conditions.Conditions, present: Present) =>
  verdict(conditions, present) === "not-modified"
