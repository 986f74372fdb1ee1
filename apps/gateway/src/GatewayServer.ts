import { requestIdFrom } from "@opsbuddy/runtime/RequestContext"
import { type Front, ListenFailed } from "@opsbuddy/runtime/Server"
import { Effect } from "effect"
import { ClientConnection, type ClientConnections } from "./ClientConnection.ts"
import { ForwardedRequest, reasons } from "./Forward.ts"
import { Gateway } from "./Gateway.ts"
import { line } from "./Headers.ts"
import * as Fields from "./http1/Fields.ts"
import * as Sockets from "./net/sockets.ts"
import * as Own from "./Own.ts"
import * as OwnPaths from "./OwnPaths.ts"
import { causeOf, malformed, render } from "./Refusal.ts"
import * as Route from "./Route.ts"
import * as RouteMetrics from "./RouteMetrics.ts"
import * as Ticker from "./Ticker.ts"
import * as UpstreamPool from "./UpstreamPool.ts"

/** How late a connection may be ended on which nothing happens, in milliseconds. */
const tick = 1000

/**
 * The gateway's server, on sockets: HTTP/1.1 is read and written here, so that what passes is alike on both runtimes, byte for
 * byte, and costs no more than it must.
 */
export const make: Effect.Effect<Front, never, Gateway> = Effect.gen(function* () {
  const gateway = yield* Gateway
  return Effect.fnUntraced(function* (handler, options) {
    const sockets = yield* Effect.promise(Sockets.load)
    const pools = UpstreamPool.make(sockets, gateway.ticker)
    const connections = new Set<ClientConnection>()
    let isDraining = false
    let emptied = () => {}

    const defect = (error: unknown) => void gateway.run(Effect.logError("connection failed", error))

    const all: ClientConnections = {
      ticker: Ticker.make(tick),
      isDraining: () => isDraining,
      defect,
      closed: (connection) => {
        connections.delete(connection)
        if (connections.size === 0) emptied()
      },
      respond: (connection, head, body) => {
        const { host, method, url } = head
        const query = url.indexOf("?")
        const path = query === -1 ? url : url.slice(0, query)
        const header = (name: string) => Fields.find(head.lines, name)
        const found = gateway.running().table.find({ host, path, method, header })
        if (OwnPaths.takes(path, found)) return Own.respond(handler, connection, head, body, defect)
        return new ForwardedRequest(gateway, found ?? Route.none, pools, connection, head, path, body)
      },
      refuse: (connection, { reason, status }) => {
        const refusal = malformed(status, reason)
        const { body, headers } = render(refusal, requestIdFrom(undefined), "/")
        const bytes = Buffer.from(body)
        const lines = Object.entries(headers).map(([name, value]) => line(name, value))
        connection.answer(status, reasons[status] ?? "", lines.join(""), bytes.length)
        connection.write([bytes], bytes.length)
        RouteMetrics.record(Route.none.metrics, status, causeOf(refusal), 0)
      }
    }

    const accept = (socket: ConstructorParameters<typeof ClientConnection>[0]) => {
      const connection = new ClientConnection(socket, all)
      connections.add(connection)
    }
    const { host, port } = options
    const listening = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => sockets.listen(host, port, accept),
        catch: (cause) => new ListenFailed({ host, port, cause })
      }),
      ({ stop }) =>
        Effect.callback<void>((resume) => {
          isDraining = true
          stop()
          emptied = () => resume(Effect.void)
          for (const connection of connections) connection.drain()
          if (connections.size === 0) emptied()
        }).pipe(
          Effect.timeoutOrElse({
            duration: options.drainMillis,
            orElse: () =>
              Effect.sync(() => {
                for (const connection of connections) connection.cut()
              })
          }),
          Effect.andThen(Effect.sync(() => pools.close()))
        )
    )
    return listening.port
  })
})
