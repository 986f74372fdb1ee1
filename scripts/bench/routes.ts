/**
 * How long the gateway takes to find a route among 5, 500 and 5,000: `bun scripts/bench/routes.ts [rounds]`. Paths of routes are
 * `/team-N/service-M`; half of the requests go below one of them, drawn at random, and the others to a path that only begins like
 * one. Prints nanoseconds for one look-up, the median of the rounds with the least and the most.
 */
import type { RouteConfig } from "../../apps/gateway/src/GatewayConfig.ts"
import * as Route from "../../apps/gateway/src/Route.ts"
import * as RouteTable from "../../apps/gateway/src/RouteTable.ts"

const rounds = Number(process.argv[2] ?? 15)
const lookUps = 100_000

const configs = (count: number): ReadonlyArray<RouteConfig> =>
  Array.from({ length: count }, (_, index) => ({
    ...Route.none.config,
    name: `route-${index}`,
    path: `/team-${index % 50}/service-${index}`
  }))

const requests = (routes: ReadonlyArray<RouteConfig>) =>
  Array.from({ length: 1000 }, (_, index) => {
    const { path } = routes[Math.floor(Math.random() * routes.length)] ?? Route.none.config
    return {
      host: "shop.example:8000",
      path: index % 2 === 0 ? `${path}/orders/1234` : `${path}x/orders`,
      method: "GET",
      header: () => undefined
    }
  })

const measure = (
  table: RouteTable.RouteTable<{ readonly config: RouteConfig }>,
  asked: ReturnType<typeof requests>
) => {
  let found = 0
  const started = performance.now()
  for (let index = 0; index < lookUps; index++) {
    const request = asked[index % asked.length]
    if (request !== undefined && table.find(request) !== undefined) found++
  }
  if (found !== lookUps / 2) throw new Error(`found ${found} routes, not ${lookUps / 2}`)
  return ((performance.now() - started) * 1e6) / lookUps
}

for (const count of [5, 500, 5000]) {
  const routes = configs(count)
  const table = RouteTable.make(routes.map((config) => ({ config })))
  const asked = requests(routes)
  measure(table, asked)
  const nanos = Array.from({ length: rounds }, () => measure(table, asked)).sort((a, b) => a - b)
  const [median, least, most] = [nanos[Math.floor(rounds / 2)], nanos[0], nanos.at(-1)]
  console.log(
    `${String(count).padStart(5)} routes  ${median?.toFixed(0)} ns (${least?.toFixed(0)} to ${most?.toFixed(0)})`
  )
}
