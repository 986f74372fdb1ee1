import { createServer, type IncomingMessage } from "node:http"
import { Context, Data, Effect, Layer, Ref, type Scope } from "effect"
import { HttpEffect, type HttpServerRequest, type HttpServerResponse } from "effect/http"

/** The address could not be listened on. `owner` tells the process that has the port, when the system says so. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly host: string
  readonly port: number
  readonly cause: unknown
}> {
  override get message() {
    return `cannot listen on ${this.host}:${this.port}: ${this.cause instanceof Error ? this.cause.message : this.cause}`
  }
}

/** A server of an app's own: it listens, answers what is its own, and leaves the rest to the handler. Gives the port. */
export type Front = (
  handler: (request: globalThis.Request) => Promise<Response>,
  options: ServerOptions
) => Effect.Effect<number, ListenFailed, Scope.Scope>

/** Where an app puts its own server while it is built, if it has one. */
export class ServerFront extends Context.Service<ServerFront, Ref.Ref<Front | undefined>>()(
  "@opsbuddy/runtime/ServerFront"
) {
  static readonly layer = Layer.effect(ServerFront, Ref.make<Front | undefined>(undefined))
}

export interface ServerOptions {
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  /** How long requests in flight may take to end when the server stops, in milliseconds. */
  readonly drainMillis: number
  /** Streamed bodies keep their `Content-Length`. `Bun.serve` drops it, so that Bun serves by `node:http`, too. */
  readonly streamsLengths?: boolean
}

type Request = HttpServerRequest.HttpServerRequest | Scope.Scope

type App = Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, Request>

/** Seconds without traffic after which a connection is closed; longer than the heartbeat of streams (15 s). */
export const idleSeconds = 60

const serveBun = Effect.fnUntraced(function* (app: App, options: ServerOptions) {
  // Without it requests run with effect's defaults: its own logger, and every level.
  const context = yield* Effect.context<never>()
  const handler = HttpEffect.toWebHandlerWith<never, Request>(context)(app)
  const server = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        Bun.serve({
          hostname: options.host,
          port: options.port,
          development: false,
          idleTimeout: idleSeconds,
          // The default of 128 MiB would cut uploads; limits are the endpoints' own.
          maxRequestBodySize: Number.MAX_SAFE_INTEGER,
          fetch: (request) => handler(request)
        }),
      catch: (cause) => new ListenFailed({ host: options.host, port: options.port, cause })
    }),
    (server) =>
      Effect.promise(() => server.stop(false)).pipe(
        Effect.timeoutOrElse({
          duration: options.drainMillis,
          orElse: () => Effect.promise(() => server.stop(true))
        })
      )
  )
  return server.port ?? options.port
})

/** Cuts a connection on which a request's body has stopped coming. */
const endWhereBodyStalls = (request: IncomingMessage) => {
  const { headers, socket } = request
  if (headers["transfer-encoding"] === undefined && !(Number(headers["content-length"]) > 0)) return
  socket.setTimeout(idleSeconds * 1000)
  request.once("end", () => socket.setTimeout(0))
}

const serveNode = Effect.fnUntraced(function* (app: App, options: ServerOptions) {
  // Here, because a process that serves by Bun would pay for it at every start.
  const NodeHttpServer = yield* Effect.promise(() => import("@effect/platform-node/NodeHttpServer"))
  const scope = yield* Effect.scope
  const handler = yield* NodeHttpServer.makeHandler(app, { scope })
  const server = createServer({
    keepAliveTimeout: idleSeconds * 1000,
    // Other protocols are offers, and a server that does not take one goes on as if it had not come (RFC 9110, section 7.8).
    shouldUpgradeCallback: () => false
  })
  // A long upload is not a slow client: the whole request may take as long as it needs, its head may not.
  server.requestTimeout = 0
  server.headersTimeout = idleSeconds * 1000
  server.on("request", (request, response) => {
    // Whoever reads the body hears of it, too; with nobody listening any more, Bun would end the process.
    request.on("error", () => {})
    endWhereBodyStalls(request)
    handler(request, response)
  })
  yield* Effect.acquireRelease(
    Effect.callback<void, ListenFailed>((resume) => {
      const onError = (cause: Error) => resume(new ListenFailed({ host: options.host, port: options.port, cause }))
      server.once("error", onError)
      server.listen(options.port, options.host, () => {
        server.off("error", onError)
        resume(Effect.void)
      })
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeIdleConnections()
      }).pipe(
        Effect.timeoutOrElse({
          duration: options.drainMillis,
          orElse: () => Effect.sync(() => server.closeAllConnections())
        })
      )
  )
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : options.port
})

/**
 * Listens until the scope closes, and gives the port. Closing stops accepting at once, lets requests in flight end for
 * `drainMillis`, then cuts what is left. The only file that knows which runtime it is on.
 */
export const serve = Effect.fnUntraced(function* (app: App, options: ServerOptions) {
  const front = yield* Effect.flatMap(ServerFront, Ref.get)
  if (front === undefined) {
    const byNode = typeof Bun === "undefined" || options.streamsLengths === true
    return yield* byNode ? serveNode(app, options) : serveBun(app, options)
  }
  return yield* front(HttpEffect.toWebHandlerWith<never, Request>(yield* Effect.context<never>())(app), options)
})
