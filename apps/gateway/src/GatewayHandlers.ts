import { GatewayServiceApi } from "@opsbuddy/contract/Api"
import { AccountNotFound, ConfigRejected, UpstreamNotFound } from "@opsbuddy/contract/Gateway"
import { Audit } from "@opsbuddy/runtime/Audit"
import { Clock, Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import * as EventStream from "./EventStream.ts"
import { Gateway } from "./Gateway.ts"
import { Operations } from "./Operations.ts"
import * as RecentRequests from "./RecentRequests.ts"
import { Reload } from "./Reload.ts"
import * as RunningConfig from "./RunningConfig.ts"

export const GatewayHandlers = HttpApiBuilder.group(
  GatewayServiceApi,
  "gateway",
  Effect.fnUntraced(function* (handlers) {
    const gateway = yield* Gateway
    const operations = yield* Operations
    const reload = yield* Reload
    const audit = yield* Audit
    const upstreams = Effect.map(Clock.currentTimeMillis, (now) =>
      Array.from(gateway.running().upstreams.values(), (upstream) => upstream.status(now))
    )
    return handlers.handleAll({
      upstreams: () => Effect.map(upstreams, (items) => ({ items })),
      upstream: ({ params: { name } }) =>
        Effect.flatMap(upstreams, (all) => {
          const found = all.find((upstream) => upstream.name === name)
          return found === undefined ? new UpstreamNotFound({ upstream: name }) : Effect.succeed(found)
        }),
      force: ({ params, payload }) => operations.force(params.name, payload.state, payload.reason),
      release: ({ params, payload }) => operations.release(params.name, payload.reason),
      drain: ({ params, payload }) => operations.drain(params.name, payload.target, true, payload.reason),
      undrain: ({ params, payload }) => operations.drain(params.name, payload.target, false, payload.reason),
      config: () => Effect.sync(() => RunningConfig.tell(gateway, reload.file)),
      reload: ({ payload }) =>
        operations.reloading(payload.reason).pipe(
          Effect.andThen(reload.reload("request")),
          Effect.catchTag(
            "InvalidConfig",
            ({ message, mistakes }) => new ConfigRejected({ mistakes, detail: message })
          ),
          Effect.andThen(Effect.sync(() => RunningConfig.tell(gateway, reload.file)))
        ),
      listRequests: ({ query }) => RecentRequests.list(gateway.requests, query),
      request: ({ params: { id } }) => {
        const account = gateway.requests.get(id)
        return account === undefined
          ? new AccountNotFound({ id, detail: "ask analytics, which keeps all requests, for older ones" })
          : Effect.sync(() => RecentRequests.decode(account))
      },
      events: ({ query: { after, upstream } }) =>
        Effect.sync(() => ({
          items: gateway.events.list(after).filter((event) => upstream === undefined || event.upstream === upstream)
        })),
      eventStream: ({ request }) =>
        Effect.succeed(EventStream.answer(gateway.events, request.headers["last-event-id"])),
      audit: ({ query }) => audit.list(query)
    })
  })
)
