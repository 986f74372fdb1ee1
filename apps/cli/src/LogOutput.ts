import { Context, Effect, Layer } from "effect"

/**
 * Where the children's log lines go. Writing never waits and never fails: lines are dropped while whoever reads ours has
 * more than 4 MiB to read, so that a reader who stops does not stop the services.
 */
export class LogOutput extends Context.Service<
  LogOutput,
  {
    /** Writes a text that ends with a line end. */
    readonly write: (text: string) => void
    /** How many texts were dropped since this was asked the last time. */
    readonly takeDropped: () => number
  }
>()("@opsbuddy/cli/LogOutput") {
  static readonly layer = (stream: NodeJS.WriteStream) =>
    Layer.effect(
      LogOutput,
      Effect.gen(function* () {
        let pending = 0
        let dropped = 0
        // A reader that goes away, as in `opsbuddy up | head`, is no reason to stop the services.
        const ignore = () => {}
        yield* Effect.sync(() => {
          process.stdout.on("error", ignore)
          process.stderr.on("error", ignore)
        })
        return LogOutput.of({
          // Bun's `writableLength` is always 0, so count here what is not yet written.
          write: (text) => {
            if (pending > maxPending) {
              dropped += 1
              return
            }
            pending += text.length
            stream.write(text, () => {
              pending -= text.length
            })
          },
          takeDropped: () => {
            const count = dropped
            if (pending <= maxPending) dropped = 0
            return pending <= maxPending ? count : 0
          }
        })
      })
    )
}

/** In characters. */
const maxPending = 4 * 1024 * 1024
