import { Effect, type Scope } from "effect"
import type { ColumnarError } from "./ColumnarError.ts"
import * as EngineErrors from "./EngineErrors.ts"

/** The engine's lock holds between processes only: two instances in one process would destroy the file. */
const claimed = new Set<string>()

/** Fails with `locked` while this process has the file open already. */
export const claim = (filename: string): Effect.Effect<unknown, ColumnarError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() =>
      claimed.has(filename)
        ? Effect.fail(EngineErrors.locked(filename, process.pid))
        : Effect.sync(() => claimed.add(filename))
    ),
    () => Effect.sync(() => claimed.delete(filename))
  )
