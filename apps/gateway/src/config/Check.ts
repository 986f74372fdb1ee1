import { Console, Effect } from "effect"
import type { ConfigDocument } from "./ConfigDocument.ts"
import * as ConfigFile from "./ConfigFile.ts"
import { show } from "./Mistake.ts"

/** `EX_USAGE` of sysexits.h. */
const exitUsage = 64

/** Prints what is wrong with a configuration file, or how much is in it with what is built in. Gives the exit code. */
export const check = Effect.fnUntraced(function* (args: ReadonlyArray<string>, builtIn: ConfigDocument) {
  const [file, ...more] = args
  if (file === undefined || more.length > 0) {
    yield* Console.error("usage: check FILE")
    return exitUsage
  }
  return yield* ConfigFile.load(file, builtIn).pipe(
    Effect.flatMap(({ config: { routes, upstreams } }) =>
      Effect.as(Console.log(`ok: ${upstreams.length} upstreams, ${routes.length} routes`), 0)
    ),
    Effect.catchTag("InvalidConfig", ({ mistakes }) => Effect.as(Console.log(mistakes.map(show).join("\n")), 1))
  )
})
