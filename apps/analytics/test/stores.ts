import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Columnar } from "@opsbuddy/columnar/Columnar"
import { RequestRecord } from "@opsbuddy/contract/Analytics"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { DateTime, Effect, Layer } from "effect"
import * as LogStoreDuckDB from "../src/LogStoreDuckDB.ts"
import type { StoredLog } from "../src/LogText.ts"
import * as RequestStoreDuckDB from "../src/RequestStoreDuckDB.ts"

/** Both stores over one database, as the app has them. */
export const duckDB = (filename: string) =>
  Layer.mergeAll(LogStoreDuckDB.layer, RequestStoreDuckDB.layer).pipe(
    Layer.provideMerge(
      Columnar.layer({ filename, migrations: { ...LogStoreDuckDB.migrations, ...RequestStoreDuckDB.migrations } }).pipe(
        Layer.provide(StoreHealth.layer)
      )
    )
  )

/** An empty folder, removed with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "analytics-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

export const time = (millis: number) => DateTime.makeUnsafe(millis)

export const entry = (members: Partial<StoredLog> = {}): StoredLog => ({
  timestamp: time(0),
  level: "info",
  service: "shop",
  message: "hello",
  ...members
})

export const record = (members: Partial<Omit<RequestRecord, "requestId">> & { readonly id: string }) => {
  const { id, ...others } = members
  return RequestRecord.make({
    requestId: RequestRecord.fields.requestId.make(id),
    timestamp: time(0),
    method: "GET",
    path: "/shop",
    route: "shop",
    service: "shop",
    status: 200,
    durationMillis: 1,
    ...others
  })
}
