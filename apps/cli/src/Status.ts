import * as OpsBuddy from "@opsbuddy/client/OpsBuddy"
import { Effect } from "effect"
import { Unavailable } from "./Refusals.ts"

const seconds = (uptime: number) => {
  const total = Math.round(uptime)
  if (total < 60) return `${total} s`
  return total < 3600
    ? `${Math.floor(total / 60)} min`
    : `${Math.floor(total / 3600)} h ${Math.floor((total % 3600) / 60)} min`
}

/** What the gateway at `baseUrl` tells about itself and the services, as lines of a table. */
export const table = Effect.fn("Status.table")(function* (baseUrl: string) {
  const client = yield* OpsBuddy.make({ baseUrl })
  const [health, status] = yield* Effect.all([client.health(), client.status()], { concurrency: 2 }).pipe(
    Effect.timeout("10 seconds"),
    Effect.mapError((error) => new Unavailable({ reason: `${baseUrl} does not answer: ${error.message}` }))
  )
  const rows = [
    ["SERVICE", "STATE", "CIRCUIT", "DETAIL"],
    [
      health.service.name,
      health.status,
      "",
      `${baseUrl}, version ${health.service.version}, up ${seconds(health.service.uptime)}`
    ],
    ...(health.services ?? []).map((service) => {
      const upstream = status.upstreams?.find(({ name }) => name === service.name)
      const targets = upstream?.targets.map(({ url }) => url).join(", ") ?? ""
      return [service.name, service.status, upstream?.circuit.state ?? "", service.detail ?? targets]
    })
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
})
