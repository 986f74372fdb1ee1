import { Context, Effect, Latch, Layer, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import * as Batches from "./Batches.ts"

/** Records wait here at the most; what comes beyond is dropped and counted. */
const capacity = 20_000
const batchSize = 5000

/** After this the answer to a batch is taken for lost, and the batch is sent again. */
const timeout = "10 seconds"

/** Takes records of requests to analytics in batches, without ever delaying a response. */
export class RecordSender extends Context.Service<
  RecordSender,
  {
    /** Takes what `AccountText.record` wrote, or drops and counts it when analytics is too far behind. Never waits. */
    readonly offer: (record: string) => void
    readonly counters: () => {
      readonly recordsSent: number
      readonly recordsDropped: number
      readonly recordsWaiting: number
    }
  }
>()("@opsbuddy/gateway/RecordSender") {
  /** Sends to analytics at `baseUrl` until the scope closes; then tries once more to send what waits, for 2 s at most. */
  static readonly layer = (baseUrl: string) => Layer.effect(RecordSender, make(baseUrl))
}

const make = Effect.fnUntraced(function* (baseUrl: string) {
  const client = yield* HttpClient.HttpClient
  const batches = Batches.make(capacity, batchSize)
  const some = yield* Latch.make(false)
  const full = yield* Latch.make(false)
  let recordsSent = 0
  let recordsDropped = 0
  let failing = false

  /** The contract's `writeRequests`. The records are what the contract encodes to, so that nothing is encoded once more. */
  const post = (body: Uint8Array) =>
    client
      .execute(
        HttpClientRequest.post(`${baseUrl}/api/analytics/requests`).pipe(
          HttpClientRequest.bodyUint8Array(body, "application/json")
        )
      )
      .pipe(Effect.flatMap((response) => Effect.map(response.text, (text) => ({ status: response.status, text }))))

  const send = Effect.gen(function* () {
    const batch = batches.oldest()
    if (batch === undefined) return
    const { status, text } = yield* post(batch.body).pipe(Effect.timeout(timeout))
    // Sending the same again would not help where it is called wrong, and would hold up all that come after.
    const isRefused = status >= 400 && status < 500
    if (status >= 500) return yield* Effect.fail(new Error(`analytics answers ${status}`))
    if (isRefused) yield* Effect.logError("analytics refused request records", { status, reason: text.slice(0, 500) })
    batches.removeOldest()
    if (batches.waiting() < batchSize) full.closeUnsafe()
    if (isRefused) recordsDropped += batch.records
    else recordsSent += batch.records
    if (failing) yield* Effect.logInfo("analytics takes request records again")
    failing = false
  }).pipe(
    Effect.tapError((error) => {
      if (failing) return Effect.void
      failing = true
      return Effect.logWarning("analytics does not take request records", {
        reason: error.message,
        waiting: batches.waiting()
      })
    })
  )

  // Runs after the fiber below has been interrupted, so that no batch is on its way twice.
  yield* Effect.addFinalizer(() =>
    send.pipe(Effect.repeat({ while: () => batches.waiting() > 0 }), Effect.timeout("2 seconds"), Effect.ignore)
  )

  const retry = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")]).pipe(Schedule.jittered)
  yield* some.await.pipe(
    Effect.andThen(Effect.retry(send, retry)),
    Effect.andThen(Effect.suspend(() => (batches.waiting() === 0 ? some.close : Effect.void))),
    // Lets a batch gather: to send and to store one costs some milliseconds, in which requests wait.
    Effect.andThen(Effect.raceFirst(full.await, Effect.sleep("1 second"))),
    Effect.forever,
    Effect.forkScoped
  )
  return RecordSender.of({
    offer: (record) => {
      if (!batches.add(record)) recordsDropped++
      else if (batches.waiting() === 1) some.openUnsafe()
      else if (batches.waiting() === batchSize) full.openUnsafe()
    },
    counters: () => ({ recordsSent, recordsDropped, recordsWaiting: batches.waiting() })
  })
})
