import { GatewayEvent } from "@opsbuddy/contract/Gateway"
import { Effect, Queue, Schedule, Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import type { Events } from "./Events.ts"

/** Events that wait for a slow reader; what comes beyond is dropped, and the reader is told how many. */
const capacity = 1000

/** Shorter than the time after which a connection without traffic is closed, here and on the way. */
const heartbeat = "15 seconds"

const encode = Schema.encodeSync(Schema.fromJsonString(GatewayEvent))

const line = (event: GatewayEvent) => `id: ${event.id}\nevent: ${event.kind}\ndata: ${encode(event)}\n\n`

/** Ids begin again with the process: a reader that has seen higher ones has seen none of these. */
const after = (lastEventId: string, events: Events["Service"]) => {
  const seen = Number(lastEventId)
  return Number.isSafeInteger(seen) && seen <= (events.list().at(-1)?.id ?? 0) ? seen : 0
}

/**
 * Events as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), from now on or after the last
 * one that the reader has seen.
 */
export const answer = (events: Events["Service"], lastEventId: string | undefined) => {
  const texts = Stream.unwrap(
    Effect.gen(function* () {
      const queue = yield* Queue.dropping<GatewayEvent>(capacity)
      let dropped = 0
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          events.listen((event) => {
            if (!Queue.offerUnsafe(queue, event)) dropped++
          })
        ),
        (stop) => Effect.sync(stop)
      )
      const missed = lastEventId === undefined ? [] : events.list(after(lastEventId, events))
      const live = Stream.fromQueue(queue).pipe(
        Stream.map((event) => {
          const told = dropped === 0 ? "" : `event: dropped\ndata: {"count":${dropped}}\n\n`
          dropped = 0
          return told + line(event)
        })
      )
      // The first comment makes the head go out at once.
      const beats = Stream.make(": connected\n\n").pipe(
        Stream.concat(Stream.map(Stream.fromSchedule(Schedule.spaced(heartbeat)), () => ": \n\n"))
      )
      return Stream.fromIterable(missed).pipe(Stream.map(line), Stream.concat(Stream.merge(live, beats)))
    })
  )
  return HttpServerResponse.stream(Stream.encodeText(texts), {
    contentType: "text/event-stream",
    headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
  })
}
