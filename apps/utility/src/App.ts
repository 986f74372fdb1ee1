import { UtilityServiceApi } from "@opsbuddy/contract/Api"
import * as App from "@opsbuddy/runtime/App"
import * as Docs from "@opsbuddy/runtime/Docs"
import { ByteSize, type FileSystem, Layer } from "effect"
import { HttpIncomingMessage } from "effect/http"
import { CommandCatalogue } from "./CommandCatalogue.ts"
import * as CommandProcessGroup from "./CommandProcessGroup.ts"
import { CommandRunner } from "./CommandRunner.ts"
import * as ConfigStoreSqlite from "./ConfigStoreSqlite.ts"
import * as HostMetrics from "./HostMetrics.ts"
import * as SystemInformationNode from "./SystemInformationNode.ts"
import { UtilityHandlers } from "./UtilityHandlers.ts"

/** The largest request body, which is the largest configuration. */
const maxBodySize = ByteSize.mebibytes(1)

const handlers = UtilityHandlers.pipe(Layer.provide(Layer.succeed(HttpIncomingMessage.MaxBodySize, maxBodySize)))

/** The utility service, running the commands of this catalogue. */
export const make = (catalogue: Layer.Layer<CommandCatalogue, never, FileSystem.FileSystem>) =>
  App.make({
    name: "utility",
    api: UtilityServiceApi,
    docs: Docs.layer(UtilityServiceApi),
    variables: {},
    layer: (settings) =>
      Layer.mergeAll(handlers, HostMetrics.layer({ timeseriesUrl: settings.timeseriesUrls[0] })).pipe(
        Layer.provide([CommandRunner.layer(), SystemInformationNode.layer]),
        Layer.provide([catalogue, CommandProcessGroup.layer]),
        Layer.provideMerge(ConfigStoreSqlite.layer({ directory: `${settings.dataDirectory}/utility` }))
      )
  })

export const app = make(CommandCatalogue.layer)
