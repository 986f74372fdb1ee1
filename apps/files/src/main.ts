import { join } from "node:path"
import * as Main from "@opsbuddy/runtime/Main"
import { Effect } from "effect"
import { app } from "./App.ts"

Main.launch(app, `${import.meta.dirname}/..`, {
  // Loaded when it is asked for: a start would pay for it.
  reindex: (_, { dataDirectory }) =>
    Effect.flatMap(
      Effect.promise(() => import("./Reindex.ts")),
      ({ reindex }) => reindex(join(dataDirectory, "files"))
    )
})
