import { TimeseriesServiceApi } from "@opsbuddy/contract/Api"
import type { ServiceName } from "@opsbuddy/contract/Wire"
import { Clock, Effect, Schedule } from "effect"
import { HttpApiClient } from "effect/http-api"
import type { Counters } from "./HttpRequests.ts"
import * as Process from "./Process.ts"

/** How often every process and the host are measured. */
export const interval = "10 seconds"

/** As long as timeseries does not take metrics, which it cannot before it has started, it is tried this often. */
const retryInterval = "1 second"

/**
 * Sends line protocol straight to timeseries, not through the gateway. A failure is logged when it begins and when it
 * ends, and tells the caller by `false`, which is free to go on.
 */
export const makeSender = Effect.fnUntraced(function* (baseUrl: string) {
  const client = yield* HttpApiClient.make(TimeseriesServiceApi, { baseUrl })
  let failing = false
  let ever = false
  return (lines: ReadonlyArray<string>) =>
    client.timeseries.write({ query: {}, payload: lines.join("\n") }).pipe(
      Effect.timeout("5 seconds"),
      Effect.andThen(
        Effect.suspend(() => {
          const before = failing
          failing = false
          ever = true
          return before ? Effect.logInfo("timeseries takes metrics again") : Effect.void
        })
      ),
      Effect.as(true),
      Effect.catch((error) => {
        // Before its first success timeseries is most likely still starting.
        if (failing || !ever) return Effect.succeed(false)
        failing = true
        return Effect.as(Effect.logWarning("timeseries does not take metrics", { reason: error.message }), false)
      })
    )
})

/** Samples now and then every `interval`, and sends each sample; sooner again while timeseries does not take it. */
export const every = <E, R>(
  send: (lines: ReadonlyArray<string>) => Effect.Effect<boolean>,
  sample: Effect.Effect<ReadonlyArray<string>, E, R>
) =>
  sample.pipe(
    Effect.flatMap(send),
    Effect.repeat(
      Schedule.forever.pipe(
        Schedule.setInputType<boolean>(),
        Schedule.modifyDelay(({ input }) => Effect.succeed(input ? interval : retryInterval))
      )
    )
  )

/** One point of the measurement `process`: CPU in percent of one core since the last sample, memory in bytes. */
const sampler = (service: ServiceName, counters: Counters) => {
  let last: { readonly cpu: number; readonly at: bigint } | undefined
  return Effect.gen(function* () {
    const cpu = yield* Process.cpuSeconds
    const at = yield* Clock.monotonicTimeNanos
    const { heapUsed, rss } = yield* Process.memory
    const percent = last === undefined ? 0 : ((cpu - last.cpu) / (Number(at - last.at) / 1e9)) * 100
    last = { cpu, at }
    const fields = [
      `cpu_percent=${percent}`,
      `rss=${rss}i`,
      `heap_used=${heapUsed}i`,
      `requests=${counters.requests}i`,
      `client_errors=${counters.clientErrors}i`,
      `server_errors=${counters.serverErrors}i`
    ]
    return [`process,service=${service} ${fields.join(",")} ${yield* Clock.currentTimeNanos}`]
  })
}

/** Measures this process from its start on, until the scope closes. */
export const start = Effect.fnUntraced(function* (service: ServiceName, counters: Counters, baseUrl: string) {
  const send = yield* makeSender(baseUrl)
  yield* Effect.forkScoped(every(send, sampler(service, counters)))
})
