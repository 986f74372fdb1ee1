import { createServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { layerPlatform } from "@opsbuddy/runtime/App"
import { DateTime, Effect, Layer, Queue } from "effect"
import { TestClock } from "effect/testing"
import * as HostMetrics from "../src/HostMetrics.ts"
import { SystemInformation } from "../src/SystemInformation.ts"
import * as SystemInformationNode from "../src/SystemInformationNode.ts"

/** A machine whose counters are what the test says. */
const machine = (state: { cpu: Record<string, number>; received: number }) =>
  Layer.succeed(SystemInformation, {
    info: Effect.map(DateTime.now, (timestamp) => ({
      hostname: "web 1,a=b",
      platform: "linux",
      release: "6",
      architecture: "x86_64",
      uptime: 1,
      timestamp,
      cpu: { model: "", count: 2, load: [0.5, 0.25, 0] },
      memory: { total: 1000, available: 750, used: 250 },
      disks: [{ device: "/dev/sda", mount: "/mnt/a b\\", type: "ext4", total: 1000, available: 300, used: 100 }],
      network: []
    })),
    cpuTimes: Effect.sync(() => state.cpu),
    traffic: Effect.sync(() => [
      { interface: "eth0", receivedBytes: state.received, receivedPackets: 3, sentBytes: 5, sentPackets: 1 }
    ])
  })

/** A timeseries service that takes every write, or as a broken one answers 503, on a free port. */
const timeseries = Effect.gen(function* () {
  const writes = yield* Queue.unbounded<string>()
  const state = { broken: false }
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk) => {
      body += chunk
    })
    request.on("end", () => {
      Queue.offerUnsafe(writes, state.broken ? "refused" : `${request.method} ${request.url}\n${body}`)
      response.writeHead(state.broken ? 503 : 200, { "content-type": "application/json" }).end('{"points":1}')
    })
  })
  const port = yield* Effect.callback<number>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
  return { url: `http://127.0.0.1:${port}`, writes, state }
})

describe("HostMetrics", () => {
  it.effect("writes what was counted since the sample before, as line protocol with escaped tags", () =>
    Effect.gen(function* () {
      const state = { cpu: { user: 100, idle: 100 }, received: 1000 }
      const sample = yield* HostMetrics.sampler.pipe(Effect.provide(machine(state)))
      const host = "host=web\\ 1\\,a\\=b"
      const counters = (received: number) =>
        `host_network,${host},interface=eth0 received_bytes=${received}i,sent_bytes=5i,received_packets=3i,sent_packets=1i`
      const first = yield* sample
      assert.deepStrictEqual(first, [
        `host_cpu,${host} load1=0.5,load5=0.25,load15=0 0`,
        `host_memory,${host} total=1000i,available=750i,used=250i,used_percent=25 0`,
        `host_disk,${host},mount=/mnt/a\\ b total=1000i,available=300i,used=100i,used_percent=25 0`,
        `${counters(1000)} 0`
      ])
      yield* TestClock.adjust("10 seconds")
      state.cpu = { user: 125, idle: 175 }
      state.received = 3000
      const second = yield* sample
      assert.strictEqual(
        second[0],
        `host_cpu,${host} usage_user=25,usage_idle=75,load1=0.5,load5=0.25,load15=0 10000000000`
      )
      assert.strictEqual(
        second[3],
        `${counters(3000)},received_bytes_per_second=200,sent_bytes_per_second=0 10000000000`
      )
      yield* TestClock.adjust("10 seconds")
      state.received = 10
      assert.strictEqual((yield* sample)[3], `${counters(10)} 20000000000`)
    })
  )

  it.live("sends this machine's figures at once, and goes on trying while timeseries does not take them", () =>
    Effect.gen(function* () {
      const { state, url, writes } = yield* timeseries
      state.broken = true
      yield* Layer.build(
        HostMetrics.layer({ timeseriesUrl: url }).pipe(
          Layer.provide(SystemInformationNode.layer),
          Layer.provide(layerPlatform)
        )
      )
      assert.strictEqual(yield* Queue.take(writes), "refused")
      state.broken = false
      const [target, ...lines] = (yield* Queue.take(writes)).split("\n")
      assert.strictEqual(target, "POST /api/timeseries/write")
      for (const line of lines) {
        assert.match(
          line,
          /^host_(cpu|disk|memory|network)(,[a-z]+=(\\.|[^ ,=\\])+)+ [a-z0-9_]+=[-0-9.e]+i?(,[a-z0-9_]+=[-0-9.e]+i?)* [0-9]{19}$/
        )
      }
      const names = new Set(lines.map((line) => line.slice(0, line.indexOf(","))))
      for (const name of ["host_cpu", "host_memory", "host_disk"]) assert.isTrue(names.has(name))
      const shares = [...(lines[0] ?? "").matchAll(/usage_[a-z]+=([0-9.e-]+)/g)].map((match) => Number(match[1]))
      assert.closeTo(
        shares.reduce((sum, share) => sum + share, 0),
        100,
        0.001
      )
    }).pipe(Effect.scoped)
  )
})
