import { createServer, type Server } from "node:net"
import type { ServiceName } from "@opsbuddy/contract/Wire"
import { Effect } from "effect"
import * as PortOwner from "./PortOwner.ts"
import { PortsTaken, type TakenPort } from "./Refusals.ts"

/** Where a service listens. A port of 0 lets the system choose. */
export interface Address {
  readonly service: ServiceName
  readonly host: string
  readonly port: number
}

const bind = ({ host, port }: Address) =>
  Effect.acquireRelease(
    Effect.callback<Server, NodeJS.ErrnoException>((resume) => {
      const server = createServer()
      server.once("error", (error) => resume(Effect.fail(error)))
      server.listen({ host, port, exclusive: true }, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

const boundPort = (server: Server, otherwise: number) => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : otherwise
}

const taken = Effect.fnUntraced(function* (
  address: Address,
  error: NodeJS.ErrnoException,
  addresses: ReadonlyArray<Address>
) {
  const { port, service } = address
  const rival = addresses.find((other) => other.port === port && other.service !== service)
  const inUse = rival === undefined && error.code === "EADDRINUSE"
  const reason = rival === undefined ? error.message : `wanted for ${rival.service} too`
  const owner = inUse ? yield* PortOwner.find(port) : undefined
  return { service, address: `${address.host}:${port}`, reason: inUse ? "in use" : reason, owner }
})

/**
 * Binds all addresses at the same time, lets go of them, and gives them with a port in place of each 0. Fails with all
 * that cannot be bound, each with its owner when the system tells.
 */
export const resolve = Effect.fn("Ports.resolve")(function* <A extends Address>(addresses: ReadonlyArray<A>) {
  const bound = yield* Effect.forEach(addresses, (address) =>
    bind(address).pipe(
      Effect.map((server) => ({ ...address, port: boundPort(server, address.port) })),
      Effect.result,
      Effect.map((result) => ({ address, result }))
    )
  ).pipe(Effect.scoped)
  const ports: Array<TakenPort> = []
  const free: Array<A> = []
  for (const { address, result } of bound) {
    if (result._tag === "Success") free.push(result.success)
    else ports.push(yield* taken(address, result.failure, addresses))
  }
  return ports.length === 0 ? free : yield* new PortsTaken({ ports })
})
