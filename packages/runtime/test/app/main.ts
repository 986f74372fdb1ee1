import * as Main from "@opsbuddy/runtime/Main"
import { secret } from "@opsbuddy/runtime/Variables"
import { Effect, Layer } from "effect"
import { Controls, make } from "./App.ts"

/** The test app as a program: `main.ts serve|env APP_FOLDER [broken]`; a broken one has a part that cannot be built. */
const [, , , folder = ".", broken] = process.argv

const controls =
  broken === undefined
    ? Controls.layer
    : Layer.effect(Controls, Effect.sleep("50 millis").pipe(Effect.andThen(Effect.fail(new Error("the disk is gone")))))

const variables = {
  token: secret("OPSBUDDY_TEST_TOKEN", { description: "a secret", fallback: "nothing" })
}

Main.launch({ ...make(controls), variables }, folder)
