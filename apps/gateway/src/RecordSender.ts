import type { RequestRecord } from "@opsbuddy/contract/Analytics"
import { AnalyticsServiceApi } from "@opsbuddy/contract/Api"
import { Context, Effect, Latch, Layer, Schedule } from "effect"
import { HttpApiClient } from "effect/http-api"

/** Records wait here at the most; what comes beyond is dropped and counted. */
const capacity = 20_000
const batchSize = 1000

/** After this the answer to a batch is taken for lost, and the batch is sent again. */
const timeout = "10 seconds"

/** Takes request records to analytics in batches, without ever delaying a response. */
export class RecordSender extends Context.Service<
  RecordSender,
  {
    /** Takes a record, or drops and counts it when analytics is too far behind. Never waits. */
    readonly offer: (record: RequestRecord) => void
    readonly counters: () => {
      readonly recordsSent: number
      readonly recordsDropped: number
      readonly recordsWaiting: number
    }
  }
>()("@opsbuddy/gateway/RecordSender") {
  /** Sends to analytics at `baseUrl` until the scope closes; then tries once more to send what waits, for 2 s at most. */
  static readonly layer = (baseUrl: string) =>
    Layer.effect(
      RecordSender,
      Effect.gen(function* () {
        const client = yield* HttpApiClient.make(AnalyticsServiceApi, { baseUrl })
        const waiting: Array<RequestRecord> = []
        const some = yield* Latch.make(false)
        let recordsSent = 0
        let recordsDropped = 0
        let failing = false

        const send = Effect.gen(function* () {
          const batch = waiting.slice(0, batchSize)
          if (batch.length === 0) return
          const taken = yield* client.analytics.writeRequests({ payload: batch }).pipe(
            Effect.as(true),
            Effect.timeout(timeout),
            // Sending the same again would not help, and would hold up all that come after.
            Effect.catchTag("InvalidRequest", ({ message }) =>
              Effect.as(Effect.logError("analytics refused request records", { reason: message }), false)
            )
          )
          waiting.splice(0, batch.length)
          if (taken) recordsSent += batch.length
          else recordsDropped += batch.length
          if (failing) yield* Effect.logInfo("analytics takes request records again")
          failing = false
        }).pipe(
          Effect.tapError((error) => {
            if (failing) return Effect.void
            failing = true
            return Effect.logWarning("analytics does not take request records", {
              reason: error.message,
              waiting: waiting.length
            })
          })
        )

        // Runs after the fiber below has been interrupted, so that no batch is on its way twice.
        yield* Effect.addFinalizer(() =>
          send.pipe(Effect.repeat({ while: () => waiting.length > 0 }), Effect.timeout("2 seconds"), Effect.ignore)
        )

        const retry = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")]).pipe(
          Schedule.jittered
        )
        yield* some.await.pipe(
          Effect.andThen(Effect.retry(send, retry)),
          Effect.andThen(Effect.suspend(() => (waiting.length === 0 ? some.close : Effect.void))),
          // Lets a batch gather, so that a busy gateway does not send one record at a time.
          Effect.andThen(Effect.suspend(() => (waiting.length < batchSize ? Effect.sleep("200 millis") : Effect.void))),
          Effect.forever,
          Effect.forkScoped
        )
        return RecordSender.of({
          offer: (record) => {
            if (waiting.length >= capacity) recordsDropped++
            else if (waiting.push(record) === 1) some.openUnsafe()
          },
          counters: () => ({ recordsSent, recordsDropped, recordsWaiting: waiting.length })
        })
      })
    )
}
