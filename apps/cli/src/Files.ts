import { Data, Effect, Option, Path } from "effect"
import { Command, Flag } from "effect/cli"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { Programs } from "./Programs.ts"
import { Unavailable } from "./Refusals.ts"

/** The service's program has said on standard error what was wrong. */
class NotReindexed extends Data.TaggedError("NotReindexed")<{ readonly exitCode: number }> {
  override get message() {
    return "the index of the files was not rebuilt"
  }
}

/** Has the files service rebuild its index, as it would find the folder itself. */
const reindex = Command.make(
  "reindex",
  {
    data: Flag.String("data").pipe(
      Flag.optional,
      Flag.withDescription("The data folder, instead of OPSBUDDY_DATA_DIRECTORY or ./data of the installation")
    )
  },
  Effect.fnUntraced(function* ({ data }) {
    const path = yield* Path.Path
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
    const [program, ...args] = (yield* Programs)("files")
    const env = Option.match(data, {
      onNone: () => ({}),
      onSome: (folder) => ({ OPSBUDDY_DATA_DIRECTORY: path.resolve(folder) })
    })
    const exitCode = yield* spawner
      .exitCode(
        ChildProcess.make(program, [...args, "reindex"], {
          env,
          extendEnv: true,
          stdin: "ignore",
          stdout: "inherit",
          stderr: "inherit"
        })
      )
      .pipe(
        Effect.mapError((error) => new Unavailable({ reason: `the files service cannot be run: ${error.message}` }))
      )
    if (exitCode !== 0) return yield* new NotReindexed({ exitCode })
  })
).pipe(
  Command.withDescription(
    "Rebuild the index of the files from the records beside them, and take back what is in lost+found; the service must be stopped"
  )
)

export const command = Command.make("files").pipe(
  Command.withDescription("Look after the stored files"),
  Command.withSubcommands([reindex])
)
