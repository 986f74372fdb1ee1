import { Status } from "@opsbuddy/contract/Service"
import { Effect, Option, Schedule, Schema } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"

/** Where a service keeps its data; absent where it keeps none. */
export type Storage = NonNullable<Status["storage"]>

/** Tight while a quick start may end, easy on a slow one. */
const rhythm = Schedule.spaced("50 millis").pipe(
  Schedule.upTo({ duration: "5 seconds" }),
  Schedule.concat(Schedule.spaced("250 millis"))
)

/** Asks `GET /ready` of the service at `url` until it answers 200. */
export const ready = Effect.fnUntraced(function* (url: string) {
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  yield* client.get(`${url}/ready`).pipe(Effect.timeout("2 seconds"), Effect.retry(rhythm))
})

const Answer = Schema.Struct({ storage: Status.fields.storage })

/** What `GET /status` tells about the storage of the service at `url`. */
export const storage = Effect.fnUntraced(function* (url: string) {
  const client = yield* HttpClient.HttpClient
  const answer = yield* client
    .get(`${url}/status`)
    .pipe(Effect.flatMap(HttpClientResponse.schemaBodyJson(Answer)), Effect.timeout("5 seconds"), Effect.option)
  return Option.getOrUndefined(Option.flatMapNullishOr(answer, (_) => _.storage))
})
