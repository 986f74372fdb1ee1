import type { ServiceName } from "@opsbuddy/contract/Wire"
import { Clock, Effect, Fiber, Ref } from "effect"
import type { Child } from "./Child.ts"
import { KilledAtOnce } from "./Refusals.ts"

/** What is stopped: the fiber that keeps a service running, and the process that it has at the moment. */
export interface Supervised {
  readonly service: ServiceName
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly running: Effect.Effect<Child | undefined>
}

/** When everything has to be gone, in milliseconds since the epoch; set when the stop begins. */
export interface Shutdown {
  readonly deadline: Ref.Ref<number | undefined>
}

/**
 * From the first signal until what is left is killed. Looking for what of a killed process group is still there takes
 * another second where nobody collects ended processes, and all is to be over within 10 s.
 */
const wholeMillis = 8500

/**
 * Who is asked to stop together, and how long after the first signal at the latest: earlier when all before are gone. The
 * gateway first, so that nothing new comes in; files and utility while it still finishes what it has passed on to them;
 * then those that take the others' records and metrics. Each has 7 s to drain, and the last wave has them whenever the
 * others need less than 1.5 s.
 */
const waves: ReadonlyArray<{ readonly services: ReadonlyArray<ServiceName>; readonly afterMillis: number }> = [
  { services: ["gateway"], afterMillis: 0 },
  { services: ["files", "utility"], afterMillis: 1200 },
  { services: ["analytics", "timeseries"], afterMillis: 7100 }
]

export const make = Effect.map(Ref.make<number | undefined>(undefined), (deadline): Shutdown => ({ deadline }))

/** How long what a service left in its process group is waited for when the service ended by itself. */
const leftoverMillis = 1000

/** Stops a child within the deadline. */
export const stop = Effect.fnUntraced(function* (shutdown: Shutdown, child: Child) {
  const deadline = yield* Ref.get(shutdown.deadline)
  const now = yield* Clock.currentTimeMillis
  yield* child.stop(deadline === undefined ? leftoverMillis : Math.max(0, deadline - now))
})

/** Stops all in waves, within 10 s. A second Ctrl-C kills them at once, and is a defect that ends this program. */
export const run = Effect.fnUntraced(function* (shutdown: Shutdown, supervised: ReadonlyArray<Supervised>) {
  // In a fiber of its own, because the one that is interrupted can wait for nothing that may be given up.
  const stopping = yield* Effect.forkDetach(
    inWaves(shutdown, supervised).pipe(
      Effect.as(false),
      Effect.raceFirst(Effect.as(secondInterrupt, true)),
      Effect.tap((isInterrupted) => (isInterrupted ? killAtOnce(shutdown, supervised) : Effect.void))
    )
  )
  yield* Fiber.join(stopping)
})

const inWaves = Effect.fnUntraced(function* (shutdown: Shutdown, supervised: ReadonlyArray<Supervised>) {
  const began = yield* Clock.currentTimeMillis
  yield* Ref.set(shutdown.deadline, began + wholeMillis)
  yield* Effect.logInfo("stopping", { services: supervised.map(({ service }) => service) })
  const interrupts: Array<Fiber.Fiber<void>> = []
  for (const [index, wave] of waves.entries()) {
    const fibers = supervised.filter(({ service }) => wave.services.includes(service)).map(({ fiber }) => fiber)
    interrupts.push(yield* Effect.forkDetach(Fiber.interruptAll(fibers)))
    const now = yield* Clock.currentTimeMillis
    const patience = began + (waves[index + 1]?.afterMillis ?? wholeMillis) - now
    yield* Effect.timeoutOption(Fiber.awaitAll(interrupts), Math.max(0, patience))
  }
  yield* Fiber.awaitAll(interrupts)
  yield* Effect.logInfo("stopped", { millis: (yield* Clock.currentTimeMillis) - began })
})

const killAtOnce = Effect.fnUntraced(function* (shutdown: Shutdown, supervised: ReadonlyArray<Supervised>) {
  // For those that nobody has asked to stop yet; the others wait already, for as long as it was then.
  yield* Ref.set(shutdown.deadline, 0)
  const kills = supervised.map(({ running }) =>
    Effect.flatMap(running, (child) => (child === undefined ? Effect.void : child.stop(0)))
  )
  yield* Effect.all([Fiber.interruptAll(supervised.map(({ fiber }) => fiber)), ...kills], { concurrency: "unbounded" })
  return yield* Effect.die(new KilledAtOnce())
})

/** A Ctrl-C later than the signal that began the stop, which may come several times: npm passes on what the terminal sent. */
const secondInterrupt = Effect.andThen(
  Effect.sleep("500 millis"),
  Effect.callback<void>((resume) => {
    const onInterrupt = () => resume(Effect.void)
    process.once("SIGINT", onInterrupt)
    return Effect.sync(() => process.off("SIGINT", onInterrupt))
  })
)
