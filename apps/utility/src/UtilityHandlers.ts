import { UtilityServiceApi } from "@opsbuddy/contract/Api"
import { CurrentPrincipal } from "@opsbuddy/contract/Identity"
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { CommandRunner } from "./CommandRunner.ts"
import { ConfigStore } from "./ConfigStore.ts"
import { SystemInformation } from "./SystemInformation.ts"

export const UtilityHandlers = HttpApiBuilder.group(
  UtilityServiceApi,
  "utility",
  Effect.fnUntraced(function* (handlers) {
    const system = yield* SystemInformation
    const configs = yield* ConfigStore
    const runner = yield* CommandRunner
    return handlers.handleAll({
      system: () => system.info,
      listConfigs: ({ query }) => configs.list(query),
      getConfig: ({ params }) => configs.get(params.key),
      setConfig: ({ params, payload }) =>
        Effect.flatMap(CurrentPrincipal, ({ subject }) => configs.set(params.key, payload, subject)),
      removeConfig: ({ params }) => configs.remove(params.key),
      listCommands: () => Effect.succeed({ items: runner.commands }),
      runCommand: ({ params }) => runner.run(params.name)
    })
  })
)
