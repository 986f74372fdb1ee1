import { variable } from "@opsbuddy/runtime/Variables"
import { Config } from "effect"

export const variables = {
  maxBytes: variable("OPSBUDDY_FILES_MAX_BYTES", Config.ByteSize, {
    description: "largest upload that is taken, all of its files together, like 500 MiB",
    fallback: "10 GiB"
  })
}
