import { rmSync } from "node:fs"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { CurrentPrincipal, Principal } from "@opsbuddy/contract/Identity"
import { Command, CommandName } from "@opsbuddy/contract/Utility"
import { Effect, Fiber, Layer, Logger } from "effect"
import { CommandCatalogue } from "../src/CommandCatalogue.ts"
import * as CommandProcessGroup from "../src/CommandProcessGroup.ts"
import { CommandRunner, type RunLimits } from "../src/CommandRunner.ts"
import { eventually, isRunning, pidIn, temporaryFolder } from "./processes.ts"

const name = CommandName.make("hostile")
const principal = new Principal({ subject: "ada", kind: "user", permissions: [] })

/** A runner of the command `hostile`, which is this argv. */
const runner = (argv: Command["argv"], limits: Partial<RunLimits> & { readonly timeoutMillis?: number } = {}) => {
  const command = new Command({ name, description: "", argv, timeoutMillis: limits.timeoutMillis ?? 10_000 })
  return CommandRunner.pipe(
    Effect.provide(
      CommandRunner.layer(limits).pipe(Layer.provide([CommandCatalogue.layerOf([command]), CommandProcessGroup.layer]))
    )
  )
}

const run = (argv: Command["argv"], limits?: Parameters<typeof runner>[1]) =>
  Effect.flatMap(runner(argv, limits), (commands) => commands.run(name)).pipe(
    Effect.provideService(CurrentPrincipal, principal)
  )

const shell = (script: string, limits?: Parameters<typeof runner>[1]) => run(["/bin/sh", "-c", script], limits)

const pids = (text: string) => text.trim().split(/\s+/).map(Number)

// Real processes take real time, and every run logs.
layer(Logger.layer([]), { excludeTestServices: true })("CommandRunner with CommandProcessGroup", (it) => {
  it.effect("runs an argv as it stands, without a shell", () =>
    Effect.gen(function* () {
      const ended = yield* run(["/bin/echo", "$HOME; *", "`id`", "two  spaces"])
      assert.strictEqual(ended.stdout.text, "$HOME; * `id` two  spaces\n")
      assert.strictEqual(ended.startedBy, "ada")
    })
  )

  it.effect("gives a program an empty environment, an empty standard input and the root as its folder", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* run(["/usr/bin/env"])).stdout.text, "")
      assert.deepInclude(yield* run(["/bin/cat"]), {
        outcome: "exited",
        exitCode: 0,
        stdout: { text: "", bytes: 0, truncated: false }
      })
      assert.strictEqual((yield* run(["/bin/pwd"])).stdout.text, "/\n")
    })
  )

  it.effect("tells an exit code, and the signal that ended a program", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* shell("exit 3"), { outcome: "exited", exitCode: 3, signal: null })
      assert.deepInclude(yield* shell("kill -SEGV $$"), { outcome: "signalled", exitCode: null, signal: "SIGSEGV" })
      assert.deepInclude(yield* shell("kill -KILL $$"), { outcome: "signalled", exitCode: null, signal: "SIGKILL" })
    })
  )

  it.effect("kills the whole group at the timeout, also what ignores SIGTERM", () =>
    Effect.gen(function* () {
      const ended = yield* shell('trap "" TERM INT HUP; sleep 1000 & (trap "" TERM; sleep 1000) & echo $$ $!; wait', {
        timeoutMillis: 300
      })
      assert.deepInclude(ended, { outcome: "timed-out", exitCode: null, signal: "SIGKILL" })
      assert.isAtLeast(ended.durationMillis, 300)
      assert.isBelow(ended.durationMillis, 1300)
      assert.deepStrictEqual(pids(ended.stdout.text).map(isRunning), [false, false])
    })
  )

  it.effect("ends the background children of a program that exits, and does not wait for them", () =>
    Effect.gen(function* () {
      const ended = yield* shell("sleep 1000 & echo $!; exit 7")
      assert.deepInclude(ended, { outcome: "exited", exitCode: 7 })
      assert.isBelow(ended.durationMillis, 900)
      const [child = 0] = pids(ended.stdout.text)
      assert.isAbove(child, 0)
      // It was sent SIGKILL, and is gone once the kernel comes to it.
      yield* eventually(() => !isRunning(child))
    })
  )

  it.effect(
    "returns although a child that has left the group holds the outputs open, and does not end that child",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const file = join(folder, "pid")
        const ended = yield* shell(
          `setsid sh -c 'echo $$ > ${file}; exec sleep 60' & while ! [ -s ${file} ]; do sleep 0.01; done; echo done`
        )
        const pid = yield* pidIn(file)
        yield* Effect.addFinalizer(() => Effect.sync(() => process.kill(pid, "SIGKILL")))
        assert.deepInclude(ended, { outcome: "exited", exitCode: 0 })
        assert.strictEqual(ended.stdout.text, "done\n")
        assert.isBelow(ended.durationMillis, 4000)
        assert.isTrue(isRunning(pid))
      })
  )

  it.effect("ends a program that prints without end, in flat memory", () =>
    Effect.gen(function* () {
      const before = process.memoryUsage().rss
      const ended = yield* run(["/usr/bin/yes"], { keepBytes: 1000, maxBytes: 400_000_000 })
      assert.deepInclude(ended, { outcome: "output-limit", signal: "SIGKILL" })
      assert.strictEqual(ended.stdout.text, "y\n".repeat(500))
      assert.isAbove(ended.stdout.bytes, 400_000_000)
      assert.isBelow(ended.stdout.bytes, 410_000_000)
      // Less than it printed; other tests of the same process take memory meanwhile.
      assert.isBelow(process.memoryUsage().rss - before, 350_000_000)
    })
  )

  it.effect("limits standard error as well, and by what was printed however soon the program ends", () =>
    Effect.gen(function* () {
      const ended = yield* shell("head -c 5000 /dev/zero >&2", { maxBytes: 4999 })
      assert.deepInclude(ended, { outcome: "output-limit" })
      assert.deepInclude(yield* shell("head -c 5000 /dev/zero >&2", { maxBytes: 5000 }), { outcome: "exited" })
    })
  )

  it.effect("counts both outputs exactly and keeps them apart", () =>
    Effect.gen(function* () {
      const { stderr, stdout } = yield* shell(
        "head -c 300000 /dev/zero & head -c 200000 /dev/zero >&2; wait; printf x >&2",
        {
          keepBytes: 200_001
        }
      )
      assert.deepInclude(stdout, { bytes: 300_000, truncated: true })
      assert.lengthOf(stdout.text, 200_001)
      assert.deepInclude(stderr, { bytes: 200_001, truncated: false })
      assert.isTrue(stderr.text.endsWith("\u0000x"))
    })
  )

  it.effect("makes text of any bytes, and cuts it between characters", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* shell("printf '\\377\\376ok'")).stdout, {
        text: "\ufffd\ufffdok",
        bytes: 4,
        truncated: false
      })
      assert.deepStrictEqual((yield* shell("printf 'a\\342\\202\\254b'", { keepBytes: 3 })).stdout, {
        text: "a",
        bytes: 5,
        truncated: true
      })
    })
  )

  it.effect("reports a program that cannot be started", () =>
    Effect.gen(function* () {
      const argvs: ReadonlyArray<Command["argv"]> = [
        ["/does/not/exist"],
        ["/etc/passwd"],
        ["/tmp"],
        ["/bin/echo", "a".repeat(200_000)],
        ["/bin/echo", "a\u0000b"]
      ]
      for (const argv of argvs) {
        const problem = yield* Effect.flip(run(argv))
        assert.strictEqual(problem._tag, "CommandNotStarted")
        assert.strictEqual(problem.detail, `${argv[0]} could not be started`)
      }
    })
  )

  it.effect("runs nothing that is not in the catalogue", () =>
    Effect.gen(function* () {
      const commands = yield* runner(["/bin/true"])
      const problem = yield* Effect.flip(commands.run(CommandName.make("other")))
      assert.strictEqual(problem._tag, "CommandNotFound")
    }).pipe(Effect.provideService(CurrentPrincipal, principal))
  )

  it.effect("refuses a run over the limit at once; interrupting a run kills its group and frees its place", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const file = join(folder, "pid")
      const commands = yield* runner(["/bin/sh", "-c", `sleep 1000 & echo $! > ${file}; wait`], { concurrency: 1 })
      const first = yield* Effect.forkChild(commands.run(name))
      const pid = yield* pidIn(file)
      const problem = yield* Effect.flip(commands.run(name))
      assert.deepInclude(problem, { _tag: "TooManyRuns", limit: 1, retryAfter: 1 })
      yield* Fiber.interrupt(first)
      yield* eventually(() => !isRunning(pid))
      rmSync(file)
      const second = yield* Effect.forkChild(commands.run(name))
      assert.notStrictEqual(yield* Effect.raceFirst(pidIn(file), Effect.as(Fiber.join(second), pid)), pid)
      yield* Fiber.interrupt(second)
    }).pipe(Effect.provideService(CurrentPrincipal, principal))
  )

  it.effect("runs many at once without mixing their outputs", () =>
    Effect.gen(function* () {
      const commands = yield* runner(["/bin/sh", "-c", "echo $$; head -c 100000 /dev/zero; echo $$ >&2"], {
        concurrency: 30
      })
      const runs = yield* Effect.all(
        Array.from({ length: 30 }, () => commands.run(name)),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(new Set(runs.map(({ stderr }) => stderr.text)), 30)
      for (const { stderr, stdout } of runs) {
        assert.strictEqual(stdout.bytes, 100_000 + stderr.bytes)
        assert.isTrue(stdout.text.startsWith(stderr.text))
      }
    }).pipe(Effect.provideService(CurrentPrincipal, principal))
  )

  it.effect("logs each run once, however it ends", () =>
    Effect.gen(function* () {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => {
        lines.push([logLevel, message])
      })
      const folder = yield* temporaryFolder
      const file = join(folder, "pid")
      const logged = Effect.gen(function* () {
        yield* shell("exit 1")
        yield* shell("sleep 10", { timeoutMillis: 10 })
        yield* Effect.flip(run(["/does/not/exist"]))
        const left = yield* Effect.forkChild(shell(`echo $$ > ${file}; sleep 10`))
        yield* pidIn(file)
        yield* Fiber.interrupt(left)
      })
      yield* Effect.provide(logged, Logger.layer([logger]))
      const outcomes = lines.map((line) => /"outcome":"([a-z-]+)"/.exec(JSON.stringify(line))?.[1])
      assert.deepStrictEqual(outcomes, ["exited", "timed-out", "not-started", "interrupted"])
      assert.match(
        JSON.stringify(lines[0]),
        /"command run".*"command":"hostile","principal":"ada".*"exitCode":1.*"durationMillis":/
      )
    })
  )
})
