import type { PreconditionFailed } from "@opsbuddy/contract/Problems"
import type * as Conditions from "@opsbuddy/runtime/Conditions"
import { DateTime, Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { type ConfigPage, etagOf, isKnown, proceeds, type StoredConfig } from "./ConfigStore.ts"

/** A `ConfigEntry` whose value is not parsed, so that no digit of a number is lost. */
const text = ({ json, key, modifiedAt, modifiedBy, version }: StoredConfig) =>
  `{"key":${JSON.stringify(key)},"value":${json},"version":${version},"modifiedAt":"${DateTime.formatIso(
    modifiedAt
  )}","modifiedBy":${JSON.stringify(modifiedBy)}}`

const contentType = "application/json"

export const ofEntry = (entry: StoredConfig) =>
  HttpServerResponse.text(text(entry), { contentType, headers: { etag: etagOf(entry) } })

export const ofPage = ({ items, nextCursor }: ConfigPage) => {
  const cursor = nextCursor === undefined ? "" : `,"nextCursor":${JSON.stringify(nextCursor)}`
  return HttpServerResponse.text(`{"items":[${items.map(text).join(",")}]${cursor}}`, { contentType })
}

/** The entry for who asks under these conditions: as a whole, or as not modified. */
export const ofRead = (
  entry: StoredConfig,
  conditions: Conditions.Conditions
): Effect.Effect<HttpServerResponse.HttpServerResponse, PreconditionFailed> =>
  Effect.as(
    proceeds(conditions, entry),
    isKnown(conditions, entry)
      ? HttpServerResponse.empty({ status: 304, headers: { etag: etagOf(entry) } })
      : ofEntry(entry)
  )
