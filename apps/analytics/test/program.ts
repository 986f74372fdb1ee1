import { fileURLToPath } from "node:url"
import * as Program from "@opsbuddy/testing/Program"

/** The program as a user starts it, on a free port; killed with the scope. */
export const program = (dataDirectory: string) =>
  Program.start(fileURLToPath(new URL("../src/main.ts", import.meta.url)), dataDirectory)
