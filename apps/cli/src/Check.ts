import { Data, Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { Programs } from "./Programs.ts"
import { Unavailable } from "./Refusals.ts"

/** The gateway has said on standard output or standard error what is wrong. */
class NotValid extends Data.TaggedError("NotValid")<{ readonly file: string; readonly exitCode: number }> {
  override get message() {
    return `${this.file} is not valid`
  }
}

/** Has the gateway check a configuration file, as it would read it itself. */
export const command = Command.make(
  "check",
  { file: Argument.String("file").pipe(Argument.withDescription("Configuration file of the gateway, opsbuddy.yaml")) },
  Effect.fnUntraced(function* ({ file }) {
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
    const [program, ...args] = (yield* Programs)("gateway")
    const exitCode = yield* spawner
      .exitCode(
        ChildProcess.make(program, [...args, "check", file], { stdin: "ignore", stdout: "inherit", stderr: "inherit" })
      )
      .pipe(Effect.mapError((error) => new Unavailable({ reason: `the gateway does not check it: ${error.message}` })))
    if (exitCode !== 0) return yield* new NotValid({ file, exitCode })
  })
).pipe(Command.withDescription("Say what is wrong with a configuration file of the gateway, with line and column"))
