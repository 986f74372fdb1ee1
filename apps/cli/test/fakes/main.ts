// `opsbuddy` with small programs in place of the apps.

import { fileURLToPath } from "node:url"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect } from "effect"
import * as OpsBuddy from "../../src/OpsBuddy.ts"
import { Programs } from "../../src/Programs.ts"

const app = fileURLToPath(new URL("app.ts", import.meta.url))

OpsBuddy.program.pipe(
  Effect.provideService(Programs, (name) => [process.execPath, app, name]),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: OpsBuddy.teardown })
)
