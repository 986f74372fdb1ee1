import { alternate, load, type Options, type Started } from "./bench.ts"
import { median, percentile, spread, table } from "./figures.ts"
import { type Connection, connect } from "./http1.ts"
import { openLoop } from "./openLoop.ts"

const perSecond = 1000

/** Sends on a connection that is free, on a new one where none is, so that nothing has to wait for an answer. */
const sender = async (port: number) => {
  const free: Array<Connection> = await Promise.all(Array.from({ length: 16 }, () => connect(port)))
  return {
    send: async () => {
      const connection = free.pop() ?? (await connect(port))
      const status = await connection.get("/api/files/k")
      free.push(connection)
      if (status !== 200) throw new Error(`status ${status}`)
    },
    close: () => {
      for (const connection of free) connection.close()
    }
  }
}

const measure = async (port: number, seconds: number) => {
  const { close, send } = await sender(port)
  const { failed, latencies } = await openLoop({ perSecond, seconds }, send)
  close()
  return { failed, at: (share: number) => percentile(latencies, share) }
}

const shares = [
  ["p50", 0.5],
  ["p99", 0.99],
  ["p99.9", 0.999]
] as const

/** The latency at a constant rate, and what each proxy adds to that of the upstream itself. */
export const latency = async (started: ReadonlyArray<Started>, options: Options, upstream: number) => {
  const warm = await alternate(started, 1, (entry) => load(entry, "/api/files/k", 2))
  const direct = { name: "direct", port: upstream }
  const results = await alternate([direct, ...warm.keys()], options.rounds, ({ port }) =>
    measure(port, options.seconds)
  )
  const base = results.get(direct) ?? []
  table(
    `open loop, ${perSecond} requests/s, ${options.rounds} rounds of ${options.seconds} s: milliseconds, median (least..most)`,
    ["", ...shares.map(([name]) => name), ...shares.map(([name]) => `added ${name}`), "failed"],
    [...results].map(([{ name }, runs]) => [
      name,
      ...shares.map(([, share]) => median(runs.map(({ at }) => at(share))).toFixed(2)),
      ...shares.map(([, share]) =>
        name === "direct"
          ? ""
          : spread(
              runs.map(({ at }, round) => at(share) - (base[round]?.at(share) ?? 0)),
              2
            )
      ),
      String(runs.reduce((total, { failed }) => total + failed, 0))
    ])
  )
}
