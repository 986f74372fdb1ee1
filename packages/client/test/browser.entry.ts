// What Browser.test.ts bundles for a browser: asks /health of the address in `baseUrl`.
import { Effect } from "effect"
import { FetchHttpClient } from "effect/http"
import * as OpsBuddy from "../src/OpsBuddy.ts"

declare global {
  var baseUrl: string
  var answered: Promise<unknown>
}

globalThis.answered = OpsBuddy.make({ baseUrl: globalThis.baseUrl }).pipe(
  Effect.flatMap((client) => client.health()),
  Effect.map(({ status }) => status),
  Effect.provide(FetchHttpClient.layer),
  Effect.runPromise
)
