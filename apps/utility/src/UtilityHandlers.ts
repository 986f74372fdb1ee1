import { UtilityServiceApi } from "@opsbuddy/contract/Api"
import { CurrentPrincipal } from "@opsbuddy/contract/Identity"
import * as Conditions from "@opsbuddy/runtime/Conditions"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { CommandRunner } from "./CommandRunner.ts"
import * as ConfigResponses from "./ConfigResponses.ts"
import { ConfigStore } from "./ConfigStore.ts"
import * as ConfigText from "./ConfigText.ts"
import { SystemInformation } from "./SystemInformation.ts"

export const UtilityHandlers = HttpApiBuilder.group(
  UtilityServiceApi,
  "utility",
  Effect.fnUntraced(function* (handlers) {
    const system = yield* SystemInformation
    const configs = yield* ConfigStore
    const runner = yield* CommandRunner
    return (
      handlers
        .handleAll({
          system: () => system.info,
          listConfigs: ({ query }) => Effect.map(configs.list(query), ConfigResponses.ofPage),
          getConfig: Effect.fnUntraced(function* ({ params, request }) {
            const conditions = yield* Conditions.fromHeaders(request.method, request.headers)
            return yield* ConfigResponses.ofRead(yield* configs.get(params.key), conditions)
          }),
          removeConfig: Effect.fnUntraced(function* ({ params, request }) {
            yield* configs.remove(params.key, yield* Conditions.fromHeaders(request.method, request.headers))
          }),
          listCommands: () => Effect.succeed({ items: runner.commands }),
          runCommand: ({ params }) => runner.run(params.name)
        })
        // Raw, because a parsed number may have lost digits.
        .handleRaw(
          "setConfig",
          Effect.fnUntraced(function* ({ params, request }) {
            const conditions = yield* Conditions.fromHeaders(request.method, request.headers)
            const json = yield* ConfigText.ofRequest(request)
            const { subject } = yield* CurrentPrincipal
            return ConfigResponses.ofEntry(yield* configs.set(params.key, json, subject, conditions))
          })
        )
    )
  })
)
