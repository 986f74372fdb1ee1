import { writeSync } from "node:fs"
import { Effect, Logger } from "effect"
import { open } from "./store.ts"

/**
 * Writes rows as fast as it can, and prints an id a line once it is acknowledged. Arguments: file, first id, and how many writers
 * there are, by default 16; with one each row has a commit of its own.
 */
const [filename = "", first = "0", writers = "16"] = process.argv.slice(2)
let next = BigInt(first)

const program = Effect.gen(function* () {
  const store = yield* open(filename)
  const write = Effect.suspend(() => {
    const id = next++
    return Effect.map(
      store.write((writer) => writer.append("points", [[id, "x".repeat(100)]])),
      () => writeSync(1, `${id}\n`)
    )
  })
  yield* Effect.forever(
    Effect.all(
      Array.from({ length: Number(writers) }, () => write),
      { concurrency: "unbounded" }
    )
  )
})

// Its standard output is for acknowledgements alone.
Effect.runFork(Effect.scoped(program).pipe(Effect.provide(Logger.layer([]))))
