import { Clock, Deferred, Duration, Effect, Ref, Schedule } from "effect"
import * as Child from "./Child.ts"
import type { Planned } from "./Plan.ts"
import * as Probe from "./Probe.ts"
import { EnvironmentRejected } from "./Refusals.ts"
import * as Restart from "./Restart.ts"
import * as Shutdown from "./Shutdown.ts"

/** A service that answered that it is ready, `readyMillis` after its start. */
export interface Ready {
  readonly name: Planned["service"]
  readonly url: string
  readonly pid: number
  readonly storage: Probe.Storage | undefined
  readonly readyMillis: number
}

/** Exit code of a child whose environment is not valid. */
const invalidEnvironment = 78

/** A service that is not ready after this long is named, while waiting goes on. */
const patience = "10 seconds"

/** What is known about one supervised service. `ends` are milliseconds since the epoch. */
interface State {
  readonly planned: Planned
  readonly first: Deferred.Deferred<Ready, EnvironmentRejected>
  readonly ends: Ref.Ref<ReadonlyArray<number>>
  readonly running: Ref.Ref<Child.Child | undefined>
}

const makeState = (planned: Planned): Effect.Effect<State> =>
  Effect.all({
    planned: Effect.succeed(planned),
    first: Deferred.make<Ready, EnvironmentRejected>(),
    ends: Ref.make<ReadonlyArray<number>>([]),
    running: Ref.make<Child.Child | undefined>(undefined)
  })

/**
 * Starts all services at the same time and keeps them running until the scope closes, which stops them in order. Gives
 * what is ready once all are. Fails when a service says, before it was ever ready, that its environment is not valid.
 */
export const start = Effect.fnUntraced(function* (plan: ReadonlyArray<Planned>) {
  const shutdown = yield* Shutdown.make
  const states = yield* Effect.forEach(plan, makeState)
  const keepAll = Effect.forEach(states, (state) =>
    Effect.map(
      Effect.forkDetach(keep(state, shutdown)),
      (fiber): Shutdown.Supervised => ({
        service: state.planned.service,
        fiber,
        running: Ref.get(state.running)
      })
    )
  )
  yield* Effect.acquireRelease(keepAll, (supervised) => Shutdown.run(shutdown, supervised))
  yield* Effect.forkScoped(Effect.delay(Effect.forEach(states, reportUnready, { discard: true }), patience))
  return yield* Effect.forEach(states, (state) => Deferred.await(state.first), { concurrency: "unbounded" })
})

const keep = (state: State, shutdown: Shutdown.Shutdown) => {
  const schedule = Restart.backoff.pipe(
    Schedule.tap(({ duration }) =>
      Effect.logInfo("restarting", {
        service: state.planned.service,
        inMillis: Math.round(Duration.toMillis(duration))
      })
    )
  )
  return runOnce(state, shutdown).pipe(
    Effect.repeat({ schedule, while: (upMillis) => upMillis < Restart.settledMillis }),
    Effect.forever
  )
}

/** Runs the service until it ends, and gives how long that was, in milliseconds. */
const runOnce = Effect.fnUntraced(function* (state: State, shutdown: Shutdown.Shutdown) {
  const started = yield* Clock.currentTimeMillis
  const child = yield* Effect.result(Child.start(state.planned))
  if (child._tag === "Failure") {
    yield* reportEnd(state, { code: undefined, reason: child.failure.message }, [])
    return 0
  }
  yield* Effect.addFinalizer(() =>
    Effect.andThen(Shutdown.stop(shutdown, child.success), Ref.set(state.running, undefined))
  )
  yield* Ref.set(state.running, child.success)
  yield* Effect.forkScoped(reportReady(state, child.success, started))
  const ended = yield* child.success.ended
  const upMillis = (yield* Clock.currentTimeMillis) - started
  if (ended.code === invalidEnvironment) {
    const output = child.success.lastErrors()
    yield* Deferred.fail(state.first, new EnvironmentRejected({ service: state.planned.service, output }))
  }
  yield* reportEnd(state, ended, child.success.lastLines())
  return upMillis
}, Effect.scoped)

const reportReady = Effect.fnUntraced(function* (state: State, child: Child.Child, started: number) {
  const { service, url } = state.planned
  yield* Probe.ready(url)
  const readyMillis = (yield* Clock.currentTimeMillis) - started
  const storage = yield* Probe.storage(url)
  const isFirst = yield* Deferred.succeed(state.first, { name: service, url, pid: child.pid, storage, readyMillis })
  if (!isFirst) yield* Effect.logInfo("ready again", { service, url, pid: child.pid, readyMillis })
})

const reportEnd = Effect.fnUntraced(function* (state: State, ended: Child.Ended, lastLines: ReadonlyArray<string>) {
  const { service } = state.planned
  const now = yield* Clock.currentTimeMillis
  const ends = yield* Ref.updateAndGet(state.ends, (before) => Restart.recentEnds(before, now))
  if (ends.length < Restart.crashLoop.ends) {
    return yield* Effect.logWarning("service ended", { service, reason: ended.reason })
  }
  yield* Effect.logError("crash loop", {
    service,
    reason: ended.reason,
    ends: ends.length,
    withinSeconds: Restart.crashLoop.withinMillis / 1000,
    cause: ["its last lines:", ...lastLines].join("\n")
  })
})

const reportUnready = Effect.fnUntraced(function* (state: State) {
  if (yield* Deferred.isDone(state.first)) return
  const child = yield* Ref.get(state.running)
  yield* Effect.logWarning("not ready yet", {
    service: state.planned.service,
    pid: child?.pid,
    cause: ["its last lines:", ...(child?.lastLines() ?? [])].join("\n")
  })
})
