import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as JsonSchema from "../apps/gateway/src/config/JsonSchema.ts"

const root = join(import.meta.dirname, "..")

/** Writes the JSON Schema of `opsbuddy.yaml` to where editors find it. A test says when that is due. */
if (import.meta.main) {
  const file = join(root, "docs/opsbuddy.schema.json")
  writeFileSync(file, JSON.stringify(JsonSchema.make(), null, 2))
  execFileSync(process.execPath, [join(root, "node_modules/@biomejs/biome/bin/biome"), "format", "--write", file])
}
