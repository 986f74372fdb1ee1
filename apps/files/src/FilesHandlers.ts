import { FilesServiceApi } from "@opsbuddy/contract/Api"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import * as Download from "./Download.ts"
import { FileStore } from "./FileStore.ts"
import * as Upload from "./Upload.ts"

export const filesHandlers = (limits: Upload.Limits) =>
  HttpApiBuilder.group(
    FilesServiceApi,
    "files",
    Effect.fnUntraced(function* (handlers) {
      const store = yield* FileStore
      return handlers.handleAll({
        upload: ({ payload, request }) => Upload.receive(store, payload, request, limits),
        list: ({ query }) => store.list(query),
        download: ({ params, request }) => Download.answer(store, params.id, request),
        stat: ({ params }) => store.stat(params.id),
        update: ({ params, payload }) => store.update(params.id, payload),
        remove: ({ params }) => store.remove(params.id)
      })
    })
  )
