import type { Command, CommandRun } from "@opsbuddy/contract/Utility"
import { Context, Data, type Effect } from "effect"

/** What a program may use. */
export interface ProcessLimits {
  readonly timeoutMillis: number
  /** How many bytes of each output are kept. */
  readonly keepBytes: number
  /** More than this many bytes on one output end the run. */
  readonly maxBytes: number
}

/** How a program ended. */
export type ProcessEnd = Pick<CommandRun, "exitCode" | "outcome" | "signal" | "stderr" | "stdout">

/** The program is missing, may not be run, or the system has no room for it. */
export class ProcessNotStarted extends Data.TaggedError("ProcessNotStarted")<{ readonly cause: unknown }> {}

/** Runs programs. Backends: `CommandProcessGroup`. */
export class CommandProcess extends Context.Service<
  CommandProcess,
  {
    /**
     * Runs the program with an empty environment, an empty standard input, `/` as its directory and no shell, and returns
     * when it has ended. Interrupting ends the program, too. What a run leaves behind is the backend's to say.
     */
    run(argv: Command["argv"], limits: ProcessLimits): Effect.Effect<ProcessEnd, ProcessNotStarted>
  }
>()("@opsbuddy/utility/CommandProcess") {}
