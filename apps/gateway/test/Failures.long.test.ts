import { type ChildProcess, spawn } from "node:child_process"
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { assert, it } from "@effect/vitest"
import { commandLine } from "@opsbuddy/runtime/Process"
import { Duration, Effect, Fiber, Random, type Scope } from "effect"
import * as Gateway from "./gateway.ts"
import * as Program from "./program.ts"

const faultsFor = Duration.seconds(60)
const clients = 16

const script = fileURLToPath(new URL("target.child.ts", import.meta.url))

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** A target that is a process, which can be killed and started again at the same address. */
const makeTarget: Effect.Effect<
  {
    readonly url: string
    readonly start: Effect.Effect<void>
    readonly kill: Effect.Effect<void>
    readonly isUp: () => boolean
  },
  never,
  Scope.Scope
> = Effect.gen(function* () {
  const port = yield* freePort
  const [program, ...first] = commandLine(script)
  let child: ChildProcess | undefined
  let up = false
  let ended = Promise.withResolvers<void>()
  yield* Effect.addFinalizer(() => Effect.sync(() => child?.kill("SIGKILL")))
  return {
    url: `http://127.0.0.1:${port}`,
    isUp: () => up,
    start: Effect.callback<void>((resume) => {
      ended = Promise.withResolvers<void>()
      const started = spawn(program, [...first, String(port)], { stdio: ["ignore", "pipe", "inherit"] })
      child = started
      started.once("exit", ended.resolve)
      started.stdout.once("data", () => {
        up = true
        resume(Effect.void)
      })
    }),
    kill: Effect.promise(() => {
      up = false
      child?.kill("SIGKILL")
      return ended.promise
    })
  }
})

it.live("No GET fails while targets are killed and restarted for a minute, and all is well soon after", () =>
  Effect.gen(function* () {
    const targets = yield* Effect.forEach([1, 2, 3], () => makeTarget)
    yield* Effect.forEach(targets, ({ start }) => start, { concurrency: 3 })
    const { file } = yield* Gateway.serveFile({
      upstreams: { shop: { targets: targets.map(({ url }) => url), retry: { attempts: 5 }, health: { every: "1s" } } },
      routes: [{ path: "/shop", upstream: "shop" }]
    })
    const gateway = yield* Program.start(file)
    yield* Gateway.checked(gateway.port)

    let asked = 0
    let longest = 0
    const failed: Array<string> = []
    const get = Effect.promise(async () => {
      const start = performance.now()
      const outcome = await fetch(`http://127.0.0.1:${gateway.port}/shop/${asked++}`).then(
        async (response) =>
          response.ok ? void (await response.text()) : `${response.status} ${await response.text()}`,
        (error) => String(error)
      )
      longest = Math.max(longest, performance.now() - start)
      if (outcome !== undefined) failed.push(outcome)
    })
    const load = yield* Effect.forkChild(
      Effect.forEach(Array(clients), () => Effect.forever(Effect.andThen(get, Effect.sleep("5 millis"))), {
        concurrency: clients
      })
    )

    let kills = 0
    const fault = Effect.gen(function* () {
      yield* Effect.sleep(yield* Random.nextIntBetween(200, 1000))
      const target = targets[yield* Random.nextIntBetween(0, targets.length - 1)]
      if (target === undefined) return
      if (!target.isUp()) return yield* target.start
      // Where none is left nothing can be retried.
      if (targets.filter(({ isUp }) => isUp()).length === 1) return
      kills++
      yield* target.kill
    })
    const end = performance.now() + Duration.toMillis(faultsFor)
    yield* Effect.repeat(fault, { while: () => performance.now() < end })
    yield* Effect.forEach(targets, (target) => (target.isUp() ? Effect.void : target.start), { concurrency: 3 })

    const last = performance.now()
    const state = yield* Gateway.eventually(
      Gateway.shop(gateway.port),
      ({ circuit, targets }) => circuit.state === "closed" && targets.every(({ health }) => health === "healthy"),
      "15 seconds"
    )
    const recovered = Math.round(performance.now() - last)
    yield* Fiber.interrupt(load)
    const attempts = state.targets.reduce((sum, { requests }) => sum + requests, 0)
    yield* Effect.logInfo("failures", {
      asked,
      attempts,
      kills,
      longest: Math.round(longest),
      recovered,
      failed: failed.length
    })
    assert.deepStrictEqual(failed.slice(0, 10), [], `${failed.length} of ${asked} failed`)
    assert.isAbove(kills, 20)
    assert.isAbove(asked, 5000)
    // Every retry is a failure that a client did not see: without any the test has shown nothing.
    assert.isAbove(attempts, asked)
  })
)
