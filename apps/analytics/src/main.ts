import * as Main from "@opsbuddy/runtime/Main"
import { app } from "./App.ts"

Main.launch(app, `${import.meta.dirname}/..`)
