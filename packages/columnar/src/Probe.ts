import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Effect } from "effect"
import { Columnar } from "./Columnar.ts"

/**
 * What `/health` and `/status` tell about the store in `filename`, each time asking it anew. During an outage the probe tries whether
 * a write succeeds again, so that a store recovers that nobody writes to; otherwise it writes nothing.
 */
export const make = (filename: string) =>
  Effect.gen(function* () {
    const columnar = yield* Columnar
    const health = yield* StoreHealth
    const tryWrite = Effect.flatMap(health.outage, (outage) =>
      outage === undefined ? Effect.void : Effect.ignore(columnar.tryWrite)
    )
    return {
      database: Effect.andThen(columnar.ping, tryWrite).pipe(
        Effect.as("healthy" as const),
        Effect.catch((error) =>
          Effect.as(Effect.logWarning("database does not respond", { error: error.message }), "unhealthy" as const)
        )
      ),
      storage: columnar.size.pipe(
        Effect.orDie,
        Effect.map((bytes) => ({ kind: "duckdb", location: filename, bytes }))
      )
    }
  })
