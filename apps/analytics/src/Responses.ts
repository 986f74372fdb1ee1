import { RequestRecord } from "@opsbuddy/contract/Analytics"
import { DateTime, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import type { Story } from "./Analytics.ts"
import type { StoredLog } from "./LogText.ts"
import type { Metrics, Range } from "./RequestStore.ts"

/** A `LogEntry` whose `data` is not parsed, so that no digit of a number is lost. */
const text = ({ data, timestamp, ...members }: StoredLog) => {
  const entry = JSON.stringify({ timestamp: DateTime.formatIso(timestamp), ...members })
  return data === undefined ? entry : `${entry.slice(0, -1)},"data":${data}}`
}

const list = (entries: ReadonlyArray<StoredLog>) => `[${entries.map(text).join(",")}]`

const contentType = "application/json"

export const ofPage = (page: { readonly items: ReadonlyArray<StoredLog>; readonly nextCursor?: string }) => {
  const cursor = page.nextCursor === undefined ? "" : `,"nextCursor":${JSON.stringify(page.nextCursor)}`
  return HttpServerResponse.text(`{"items":${list(page.items)}${cursor}}`, { contentType })
}

const encodeRecord = Schema.encodeSync(RequestRecord)

export const ofStory = ({ logs, request, truncated }: Story) =>
  HttpServerResponse.text(
    `{"request":${JSON.stringify(encodeRecord(request))},"logs":${list(logs)}${truncated ? ',"truncated":true' : ""}}`,
    { contentType }
  )

/** Not by the schema, which takes a tenth of a second for thousands of routes. */
export const ofMetrics = ({ from, items, more, to }: Range & Metrics) => {
  const body = {
    from: DateTime.formatIso(from),
    to: DateTime.formatIso(to),
    items,
    ...(more ? { truncated: true } : {})
  }
  return HttpServerResponse.text(JSON.stringify(body), { contentType })
}
