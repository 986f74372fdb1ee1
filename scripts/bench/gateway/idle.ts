import { alternate, load, type Started } from "./bench.ts"
import { table } from "./figures.ts"
import { type Connection, connect } from "./http1.ts"
import { residentMB } from "./processes.ts"

const connections = 5000
const atOnce = 100

const open = async (port: number) => {
  const opened: Array<Connection> = []
  let refused = 0
  const one = async () => {
    try {
      const connection = await connect(port)
      await connection.get("/api/files/k")
      opened.push(connection)
    } catch {
      refused++
    }
  }
  for (let made = 0; made < connections; made += atOnce) await Promise.all(Array.from({ length: atOnce }, one))
  return { opened, refused }
}

const measure = async (entry: Started) => {
  // A runtime takes memory under its first load that has nothing to do with connections.
  await load(entry, "/api/files/k", 2)
  const before = residentMB(entry.proxy)
  const { opened, refused } = await open(entry.port)
  await Bun.sleep(3000)
  const held = opened.filter(({ isOpen }) => isOpen()).length
  const after = residentMB(entry.proxy)
  for (const connection of opened) connection.close()
  return [
    entry.name,
    before.toFixed(1),
    after.toFixed(1),
    (((after - before) * 1024) / Math.max(1, held)).toFixed(1),
    String(held),
    String(refused)
  ]
}

/** What a connection costs that has carried one request and waits for the next. */
export const idle = async (started: ReadonlyArray<Started>) => {
  const results = await alternate(started, 1, measure)
  table(
    `${connections} idle connections, once: resident memory of the proxy`,
    ["", "MB before", "MB with them", "KB/connection", "still open", "refused"],
    [...results.values()].flat()
  )
}
