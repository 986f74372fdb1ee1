import * as Main from "@opsbuddy/runtime/Main"
import { app } from "./App.ts"
import * as BuiltIn from "./config/BuiltIn.ts"
import { check } from "./config/Check.ts"

Main.launch(app, `${import.meta.dirname}/..`, {
  check: (args, settings) => check(args, BuiltIn.document(settings))
})
