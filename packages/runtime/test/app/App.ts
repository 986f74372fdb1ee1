import { BodyTooLarge } from "@opsbuddy/contract/Problems"
import type { HealthState } from "@opsbuddy/contract/Service"
import * as App from "@opsbuddy/runtime/App"
import * as Docs from "@opsbuddy/runtime/Docs"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import { Context, Deferred, Effect, Layer, Ref, Stream } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Busy, ThingsServiceApi } from "./ThingsApi.ts"

/** What a test does to the app from outside. */
export class Controls extends Context.Service<
  Controls,
  {
    readonly database: Ref.Ref<HealthState>
    /** How often the probe was asked. */
    readonly asked: Ref.Ref<number>
    /** Requests to `slow` say that they have begun, and end when they are let go. */
    readonly begun: Deferred.Deferred<void>
    readonly go: Deferred.Deferred<void>
  }
>()("@opsbuddy/runtime/test/Controls") {
  static readonly layer = Layer.effect(
    Controls,
    Effect.all({
      database: Ref.make<HealthState>("healthy"),
      asked: Ref.make(0),
      begun: Deferred.make<void>(),
      go: Deferred.make<void>()
    })
  )
}

const sizeOf = <E, R>(stream: Stream.Stream<Uint8Array, E, R>) =>
  Effect.map(
    Stream.runFold(
      stream,
      () => 0,
      (sum, chunk) => sum + chunk.length
    ),
    (bytes) => ({ bytes })
  )

const handlers = HttpApiBuilder.group(
  ThingsServiceApi,
  "things",
  Effect.fnUntraced(function* (group) {
    const { begun, go } = yield* Controls
    return group.handleAll({
      make: ({ payload }) => Effect.succeed(payload),
      list: () => Effect.succeed({ bytes: 0 }),
      json: ({ payload }) => Effect.succeed({ bytes: JSON.stringify(payload).length }),
      text: ({ payload }) => Effect.succeed({ bytes: payload.length }),
      gzip: ({ payload }) => Effect.succeed({ bytes: payload.length }),
      upload: ({ payload }) =>
        payload.pipe(
          Stream.mapEffect((part) => (part._tag === "File" ? sizeOf(part.content) : Effect.succeed({ bytes: 0 }))),
          Stream.runFold(
            () => ({ bytes: 0 }),
            (sum, { bytes }) => ({ bytes: sum.bytes + bytes })
          ),
          Effect.orDie
        ),
      raw: ({ payload }) => Effect.orDie(sizeOf(payload)),
      bounded: ({ payload }) =>
        Effect.catch(sizeOf(payload), (error) => Effect.fail(new BodyTooLarge({ limit: Number(error.size) }))),
      named: ({ params }) => Effect.succeed({ bytes: params.name.length }),
      fixed: () => Effect.succeed({ bytes: 0 }),
      defect: () => Effect.die(new Error("the password is hunter2")),
      unencodable: () => Effect.succeed({ bytes: 1.5 }),
      busy: () => Effect.fail(new Busy({ retryAfter: 7 })),
      logged: () => Effect.as(Effect.logInfo("handled", { answer: 42 }), { bytes: 1 }),
      slow: () =>
        Effect.andThen(
          Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(go)),
          Effect.succeed({ bytes: 2 })
        )
    })
  })
)

const probe = Layer.effect(
  HealthProbe,
  Effect.gen(function* () {
    const { asked, database } = yield* Controls
    return HealthProbe.of({
      database: Effect.andThen(
        Ref.update(asked, (n) => n + 1),
        Ref.get(database)
      ),
      storage: Effect.succeed({ kind: "none", location: "nowhere", bytes: 3 }),
      counters: Effect.succeed({ own: 5 })
    })
  })
)

/** An app like any other, over `Controls`, or over anything that is a part of the app but fails to be built. */
export const make = <E>(controls: Layer.Layer<Controls, E>) =>
  App.make({
    name: "utility",
    api: ThingsServiceApi,
    docs: Docs.layer(ThingsServiceApi),
    variables: {},
    layer: () => Layer.mergeAll(handlers, probe).pipe(Layer.provide(controls))
  })
