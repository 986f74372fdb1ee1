#!/usr/bin/env bun
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as OpsBuddy from "./OpsBuddy.ts"

NodeRuntime.runMain(OpsBuddy.program, { disableErrorReporting: true, teardown: OpsBuddy.teardown })
