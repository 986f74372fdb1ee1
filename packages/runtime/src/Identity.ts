import { Authentication, CurrentPrincipal, Principal } from "@opsbuddy/contract/Identity"
import { Effect, Layer } from "effect"

/** Without a login every request is the `local` principal's. */
export const layerLocal = Layer.succeed(Authentication, (handler) =>
  Effect.provideService(handler, CurrentPrincipal, Principal.local)
)
