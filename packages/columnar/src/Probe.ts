import { Effect } from "effect"
import { Columnar } from "./Columnar.ts"

/** What `/health` and `/status` tell about the store in `filename`, each time asking it anew. */
export const make = (filename: string) =>
  Effect.map(Columnar, (columnar) => ({
    database: columnar.ping.pipe(
      Effect.as("healthy" as const),
      Effect.catch((error) =>
        Effect.as(Effect.logError("database does not answer", { error: error.message }), "unhealthy" as const)
      )
    ),
    storage: columnar.size.pipe(
      Effect.orDie,
      Effect.map((bytes) => ({ kind: "duckdb", location: filename, bytes }))
    )
  }))
