import { FilesServiceApi } from "@opsbuddy/contract/Api"
import * as Conditions from "@opsbuddy/runtime/Conditions"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import * as Download from "./Download.ts"
import { FileStore } from "./FileStore.ts"
import * as Metadata from "./Metadata.ts"
import * as Upload from "./Upload.ts"

export const filesHandlers = (limits: Upload.Limits) =>
  HttpApiBuilder.group(
    FilesServiceApi,
    "files",
    Effect.fnUntraced(function* (handlers) {
      const store = yield* FileStore
      return (
        handlers
          .handleAll({
            list: ({ query }) => store.list(query),
            download: ({ params, request }) => Download.answer(store, params.id, request),
            stat: ({ params, request }) => Metadata.answer(store, params.id, request),
            update: Effect.fnUntraced(function* ({ params, payload, request }) {
              const conditions = yield* Conditions.fromHeaders(request.method, request.headers)
              return yield* Metadata.ofInfo(yield* store.update(params.id, payload, conditions))
            }),
            remove: Effect.fnUntraced(function* ({ params, request }) {
              yield* store.remove(params.id, yield* Conditions.fromHeaders(request.method, request.headers))
            })
          })
          // Raw, because effect's parser gives text that may not be what was sent, and no parameters of content types.
          .handleRaw("upload", ({ request }) => Upload.receive(store, request, limits))
      )
    })
  )
