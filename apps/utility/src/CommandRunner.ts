import { CurrentPrincipal } from "@opsbuddy/contract/Identity"
import {
  type Command,
  type CommandName,
  CommandNotFound,
  CommandNotStarted,
  CommandRun,
  TooManyRuns
} from "@opsbuddy/contract/Utility"
import { Cause, Clock, Context, DateTime, Effect, Layer, Option, Semaphore } from "effect"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import { CommandCatalogue } from "./CommandCatalogue.ts"
import { CommandProcess } from "./CommandProcess.ts"

export interface RunLimits {
  /** How many commands may run at once. */
  readonly concurrency: number
  readonly keepBytes: number
  readonly maxBytes: number
}

const defaults: RunLimits = { concurrency: 8, keepBytes: 1024 * 1024, maxBytes: 8 * 1024 * 1024 }

/** Seconds after which it is worth asking again when too many commands are running. */
const retryAfter = 1

/** Runs the commands of the catalogue, and logs each run once with who asked for it. */
export class CommandRunner extends Context.Service<
  CommandRunner,
  {
    readonly commands: ReadonlyArray<Command>
    /**
     * Runs the command for the current principal and returns when it has ended, by itself or by a limit. Never waits for
     * another run: over the limit it fails with `TooManyRuns` at once. Interrupting ends the command.
     */
    run(
      name: CommandName
    ): Effect.Effect<CommandRun, CommandNotFound | CommandNotStarted | TooManyRuns, CurrentPrincipal>
  }
>()("@opsbuddy/utility/CommandRunner") {
  static readonly layer = (limits: Partial<RunLimits> = {}) =>
    Layer.effect(CommandRunner, make({ ...defaults, ...limits }))
}

const make = Effect.fnUntraced(function* (limits: RunLimits) {
  const { commands } = yield* CommandCatalogue
  const processes = yield* CommandProcess
  const slots = yield* Semaphore.make(limits.concurrency)

  const execute = Effect.fnUntraced(function* (command: Command) {
    const startedBy = (yield* CurrentPrincipal).subject
    const startedAt = yield* DateTime.now
    const from = yield* Clock.monotonicTimeNanos
    const id = uuidV7Unsafe()
    const elapsed = Effect.map(Clock.monotonicTimeNanos, (now) => Number(now - from) / 1e6)
    const about = { id, command: command.name, principal: startedBy }
    const ended = yield* processes.run(command.argv, { ...limits, timeoutMillis: command.timeoutMillis }).pipe(
      Effect.onInterrupt(() =>
        Effect.flatMap(elapsed, (durationMillis) =>
          Effect.logInfo("command run", { ...about, outcome: "interrupted", durationMillis })
        )
      ),
      Effect.catchTag("ProcessNotStarted", (error) =>
        Effect.andThen(
          Effect.logWarning("command run", { ...about, outcome: "not-started" }, Cause.fail(error)),
          new CommandNotStarted({ name: command.name, detail: `${command.argv[0]} could not be started` })
        )
      )
    )
    const durationMillis = yield* elapsed
    const { exitCode, outcome, signal } = ended
    yield* Effect.logInfo("command run", { ...about, outcome, exitCode, signal, durationMillis })
    return new CommandRun({ id, command: command.name, startedAt, startedBy, durationMillis, ...ended })
  })

  return CommandRunner.of({
    commands,
    run: Effect.fn("CommandRunner.run")(function* (name) {
      const command = commands.find((command) => command.name === name)
      if (command === undefined) return yield* new CommandNotFound({ name })
      const run = yield* slots.withPermitsIfAvailable(1)(execute(command))
      return Option.isSome(run) ? run.value : yield* new TooManyRuns({ limit: limits.concurrency, retryAfter })
    })
  })
})
