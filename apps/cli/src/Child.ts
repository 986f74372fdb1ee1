import { Effect, Fiber, Option, type PlatformError, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as LastLines from "./LastLines.ts"
import * as LineSplitter from "./LineSplitter.ts"
import { LogOutput } from "./LogOutput.ts"
import type { Planned } from "./Plan.ts"
import { Programs } from "./Programs.ts"

/** How a process ended: `code` is absent when a signal ended it, which `reason` then names. */
export interface Ended {
  readonly code: number | undefined
  readonly reason: string
}

/** One run of a service as a child process. */
export interface Child {
  readonly pid: number
  /** The last lines of its output, and those of its standard error alone. */
  readonly lastLines: () => ReadonlyArray<string>
  readonly lastErrors: () => ReadonlyArray<string>
  /** Waits until it has ended and what it wrote has been read. */
  readonly ended: Effect.Effect<Ended>
  /** Asks its process group to end, kills what is left of it after `millis`, and waits until it is gone. */
  readonly stop: (millis: number) => Effect.Effect<void>
}

/** Whoever keeps the output open after the child has ended is waited for this long. */
const outputGrace = "500 millis"

/**
 * Starts the service with a piped standard input that stays open as long as this process lives: its end tells the child
 * that its supervisor is gone. The child leads a process group of its own, so that Ctrl-C comes to the supervisor alone,
 * which decides the order of the stop. What it writes is read at once, passed on, and its end is kept.
 */
export const start = Effect.fnUntraced(function* (planned: Planned) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const [program, ...args] = (yield* Programs)(planned.service)
  const handle = yield* spawner.spawn(
    ChildProcess.make(program, args, {
      env: { ...planned.environment },
      extendEnv: true,
      stdin: "pipe",
      detached: true,
      forceKillAfter: "1 second"
    })
  )
  const lines = LastLines.make()
  const errors = LastLines.make()
  // Lines on standard output are log lines as they are; what comes by standard error is told from them by the name.
  const readers = [
    yield* Effect.forkScoped(pass(handle.stdout, "", lines.add)),
    yield* Effect.forkScoped(
      pass(handle.stderr, `${planned.service}: `, (more) => {
        lines.add(more)
        errors.add(more)
      })
    )
  ]
  const child: Child = {
    pid: handle.pid,
    lastLines: lines.all,
    lastErrors: errors.all,
    ended: Effect.gen(function* () {
      const end = yield* handle.exitCode.pipe(
        Effect.map((code): Ended => ({ code, reason: `exit code ${code}` })),
        Effect.catch((error) => Effect.succeed<Ended>({ code: undefined, reason: signalOf(error) }))
      )
      yield* Effect.timeoutOption(Fiber.awaitAll(readers), outputGrace)
      return end
    }),
    // Without `unref` the release of the handle would do and wait for the same once more.
    stop: (millis) =>
      Effect.andThen(Effect.ignore(handle.kill({ forceKillAfter: millis })), Effect.ignore(handle.unref))
  }
  return child
})

const signalOf = (error: PlatformError.PlatformError) => {
  const cause = error.cause
  const text = cause instanceof Error ? cause.message : error.message
  return Option.match(Option.fromNullishOr(/'(SIG\w+)'/.exec(text)?.[1]), {
    onNone: () => text,
    onSome: (signal) => `signal ${signal}`
  })
}

const pass = Effect.fnUntraced(function* <E>(
  stream: Stream.Stream<Uint8Array, E>,
  prefix: string,
  keep: (lines: ReadonlyArray<string>) => void
) {
  const output = yield* LogOutput
  const splitter = LineSplitter.make()
  const forward = Effect.fnUntraced(function* (lines: ReadonlyArray<string>) {
    if (lines.length === 0) return
    keep(lines)
    output.write(lines.map((line) => `${prefix}${line}\n`).join(""))
    const dropped = output.takeDropped()
    if (dropped > 0) yield* Effect.logWarning("log lines dropped, nobody reads the output", { chunks: dropped })
  })
  yield* Stream.runForEach(stream, (bytes) => forward(splitter.push(bytes))).pipe(Effect.ignore)
  yield* forward(splitter.end())
})
