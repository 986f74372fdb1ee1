import { type ChildProcess, spawn } from "node:child_process"
import type { Readable } from "node:stream"
import type { Command } from "@opsbuddy/contract/Utility"
import { Deferred, Effect, Layer } from "effect"
import { CommandProcess, type ProcessEnd, type ProcessLimits, ProcessNotStarted } from "./CommandProcess.ts"
import * as OutputHead from "./OutputHead.ts"

/** How long a killed program may take to be gone; only one that waits for a broken device takes longer. */
const reapTime = "2 seconds"

/** How long the outputs may stay open after the program has ended; only what has left its group holds them open. */
const closeTime = "1 second"

/**
 * Runs each program in a process group of its own, and kills that group with SIGKILL when the program has ended, so that
 * its background children end with it. A child that leaves the group (`setsid`) survives, and so does everything when this
 * process is killed: a process group bounds mistakes, it does not contain an attacker.
 *
 * It uses `node:child_process` because effect's spawner tells the signal that ended a program only in the text of an error,
 * and waits without limit for what has been killed.
 */
export const layer = Layer.succeed(CommandProcess, {
  run: Effect.fn("CommandProcessGroup.run")(function* (argv, limits) {
    const [running, first] = yield* Effect.scoped(untilLimit(argv, limits))
    return result(running, Deferred.isDoneUnsafe(running.overflown) ? "output-limit" : first)
  })
})

/** Starts the program and waits for the first reason to end it, which the scope then does. */
const untilLimit = Effect.fnUntraced(function* (argv: Command["argv"], limits: ProcessLimits) {
  const running = yield* Effect.acquireRelease(launch(argv, limits), end)
  yield* Deferred.await(running.started)
  const first = yield* Effect.raceAllFirst([
    Effect.as(Deferred.await(running.exited), "exited" as const),
    Effect.as(Deferred.await(running.overflown), "output-limit" as const),
    Effect.as(Effect.sleep(limits.timeoutMillis), "timed-out" as const)
  ])
  return [running, first] as const
})

interface Running {
  readonly child: ChildProcess
  readonly stdout: OutputHead.OutputHead
  readonly stderr: OutputHead.OutputHead
  readonly started: Deferred.Deferred<void, ProcessNotStarted>
  readonly exited: Deferred.Deferred<void>
  /** The program has ended and both outputs are read to their end. */
  readonly closed: Deferred.Deferred<void>
  readonly overflown: Deferred.Deferred<void>
}

const launch = (argv: Command["argv"], limits: ProcessLimits) =>
  Effect.try({
    try: (): Running => {
      const [program, ...rest] = argv
      const child = spawn(program, rest, { cwd: "/", env: {}, detached: true, stdio: ["ignore", "pipe", "pipe"] })
      const running: Running = {
        child,
        stdout: OutputHead.make(limits.keepBytes),
        stderr: OutputHead.make(limits.keepBytes),
        started: Deferred.makeUnsafe(),
        exited: Deferred.makeUnsafe(),
        closed: Deferred.makeUnsafe(),
        overflown: Deferred.makeUnsafe()
      }
      child.on("spawn", () => Deferred.doneUnsafe(running.started, Effect.void))
      child.on("error", (cause) => Deferred.doneUnsafe(running.started, Effect.fail(new ProcessNotStarted({ cause }))))
      child.on("exit", () => Deferred.doneUnsafe(running.exited, Effect.void))
      child.on("close", () => Deferred.doneUnsafe(running.closed, Effect.void))
      // At once: Bun reads an output that nobody takes into memory without bound.
      read(child.stdout, running.stdout, running.overflown, limits.maxBytes)
      read(child.stderr, running.stderr, running.overflown, limits.maxBytes)
      return running
    },
    catch: (cause) => new ProcessNotStarted({ cause })
  })

const read = (from: Readable, head: OutputHead.OutputHead, overflown: Running["overflown"], maxBytes: number) => {
  from.on("data", (chunk: Uint8Array) => {
    head.push(chunk)
    if (head.bytes() <= maxBytes) return
    from.pause()
    Deferred.doneUnsafe(overflown, Effect.void)
  })
  // A broken pipe ends the output; how the program ended is told by its exit.
  from.on("error", () => from.destroy())
}

/** Kills what is left of the group, and returns when the program is gone and its outputs are read. */
const end = Effect.fnUntraced(function* ({ child, closed, exited }: Running) {
  if (child.pid === undefined) return
  yield* Effect.ignore(Effect.try(() => killGroup(child)))
  yield* Effect.timeoutOption(Deferred.await(exited), reapTime)
  child.stdout?.resume()
  child.stderr?.resume()
  yield* Effect.timeoutOption(Deferred.await(closed), closeTime)
  child.stdout?.destroy()
  child.stderr?.destroy()
})

/** Throws when no process of the group is left. */
const killGroup = ({ pid }: ChildProcess) => {
  // 0 and -1 would mean this process's own group and every process.
  if (pid !== undefined && pid > 1) process.kill(-pid, "SIGKILL")
}

const result = ({ child, stderr, stdout }: Running, first: "exited" | "output-limit" | "timed-out"): ProcessEnd => ({
  outcome: first === "exited" && child.signalCode !== null ? "signalled" : first,
  exitCode: child.exitCode,
  signal: child.signalCode,
  stdout: stdout.output(),
  stderr: stderr.output()
})
