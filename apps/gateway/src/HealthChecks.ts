import { DateTime, Duration, Effect, Layer, Schedule, Schema } from "effect"
import { HttpClient, type HttpClientResponse } from "effect/http"
import type * as Upstream from "./Upstream.ts"
import { Upstreams } from "./Upstreams.ts"

/** A target that passed is asked again after the first, one that did not after the second. */
const every = Duration.seconds(5)
const everyWhileFailing = Duration.seconds(1)
/** One that has never passed may be starting together with the gateway: it is asked this often, up to `atFirst` times. */
const everyAtFirst = Duration.millis(100)
const atFirst = 50
const timeout = Duration.seconds(3)

const Answer = Schema.Struct({ status: Schema.Literals(["healthy", "degraded", "unhealthy"]) })

/** What a target says of itself where it says so in OpsBuddy's form; any answer below 400 passes. */
const verdict = Effect.fnUntraced(function* (response: HttpClientResponse.HttpClientResponse) {
  const said = yield* response.json.pipe(Effect.flatMap(Schema.decodeUnknownEffect(Answer)), Effect.option)
  const passed = response.status < 400
  const detail = said._tag === "Some" ? said.value.status : `status ${response.status}`
  return { passed, detail }
})

const failed = (detail: string) => Effect.succeed({ passed: false, detail })

const ask = (client: HttpClient.HttpClient, url: string) =>
  client.get(url).pipe(
    Effect.flatMap(verdict),
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => failed(`no answer within ${Duration.toMillis(timeout)} ms`)
    }),
    Effect.catch((error) => failed(error.reason._tag === "TransportError" ? "connection failed" : error.message))
  )

/** Asks one target, notes the answer, and lets an open circuit try again as soon as the target passes. */
const check = Effect.fnUntraced(function* (
  client: HttpClient.HttpClient,
  upstream: Upstream.Upstream,
  target: Upstream.Target
) {
  const { detail, passed } = yield* ask(client, `${target.url}${upstream.config.healthPath}`)
  const before = target.health
  target.health = passed ? "healthy" : "failing"
  target.detail = detail
  target.checkedAt = yield* DateTime.now
  if (before !== target.health) {
    const change = { upstream: upstream.config.name, target: target.url, from: before, to: target.health, detail }
    // At the start services come up one by one: only a target that was well and is not any more is worth a warning.
    yield* passed
      ? Effect.logInfo("target passes its health check", change)
      : Effect.logWithLevel(before === "unknown" ? "Debug" : "Warn")("target fails its health check", change)
  }
  if (passed && (yield* upstream.breaker.status).state === "open") yield* upstream.breaker.halfOpen
  return passed
})

/** Checks every target in the background, from the start on. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const upstreams = yield* Upstreams
    const client = yield* HttpClient.HttpClient
    for (const upstream of upstreams.all) {
      for (const target of upstream.targets) {
        let first = atFirst
        const delay = (passed: boolean) => {
          if (passed) first = 0
          return passed ? every : first-- > 0 ? everyAtFirst : everyWhileFailing
        }
        yield* check(client, upstream, target).pipe(
          Effect.repeat(
            Schedule.forever.pipe(
              Schedule.setInputType<boolean>(),
              Schedule.modifyDelay(({ input }) => Effect.succeed(delay(input))),
              Schedule.jittered
            )
          ),
          Effect.forkScoped
        )
      }
    }
  })
)
