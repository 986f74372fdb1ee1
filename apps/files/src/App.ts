import { join } from "node:path"
import { FilesServiceApi } from "@opsbuddy/contract/Api"
import * as App from "@opsbuddy/runtime/App"
import * as Docs from "@opsbuddy/runtime/Docs"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import { Effect, Layer } from "effect"
import { FileStore } from "./FileStore.ts"
import * as FileStoreLocal from "./FileStoreLocal.ts"
import { filesHandlers } from "./FilesHandlers.ts"
import { variables } from "./Settings.ts"

const layerHealthProbe = Layer.effect(
  HealthProbe,
  Effect.map(FileStore, (store) => ({ database: store.health, storage: Effect.orDie(store.usage) }))
)

export const app = App.make({
  name: "files",
  api: FilesServiceApi,
  docs: Docs.layer(FilesServiceApi),
  variables,
  streamsLengths: true,
  layer: (settings) =>
    Layer.mergeAll(filesHandlers({ maxBytes: settings.maxBytes }), layerHealthProbe).pipe(
      Layer.provide(FileStoreLocal.layer({ directory: join(settings.dataDirectory, "files") }))
    )
})
