import { type FileId, FileInfo } from "@opsbuddy/contract/Files"
import * as Conditions from "@opsbuddy/runtime/Conditions"
import { Effect, Schema } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { type FileStore, metadataOf, proceeds } from "./FileStore.ts"

const toJson = Schema.encodeEffect(Schema.fromJsonString(Schema.toCodecJson(FileInfo)))

/** What is known about a file, with the `ETag` of it. */
export const ofInfo = (info: FileInfo) =>
  Effect.map(Effect.orDie(toJson(info)), (json) =>
    HttpServerResponse.text(json, { contentType: "application/json", headers: { etag: metadataOf(info).etag } })
  )

/** The same for who asks under conditions: 304 where the client has it. */
export const answer = Effect.fnUntraced(function* (
  store: FileStore["Service"],
  id: FileId,
  request: HttpServerRequest.HttpServerRequest
) {
  const conditions = yield* Conditions.fromHeaders(request.method, request.headers)
  const info = yield* store.stat(id)
  const present = metadataOf(info)
  yield* proceeds(conditions, present)
  return conditions.check(present) === "not-modified"
    ? HttpServerResponse.empty({ status: 304, headers: { etag: present.etag } })
    : yield* ofInfo(info)
})
