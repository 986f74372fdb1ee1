// Measures the time-series service over two shapes of data: thousands of small measurements, as Prometheus users have, and one wide one, as
// TSBS's cpu-only has. Prints ingest, memory, the longest time that /ready took meanwhile, idle CPU, and the start with that data.
// node_modules/.bin/bun scripts/bench/timeseries.ts [--root DIR]... [--shape many|wide]... [--scrapes N] [--runtime bun|node]
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"

const { values: options } = parseArgs({
  options: {
    root: { type: "string", multiple: true, default: ["."] },
    shape: { type: "string", multiple: true, default: ["many", "wide"] },
    scrapes: { type: "string", default: "1" },
    measurements: { type: "string", default: "5000" },
    series: { type: "string", default: "1000" },
    idle: { type: "string", default: "30" },
    runtime: { type: "string", default: "bun" }
  }
})

const pause = (millis: number) => new Promise<void>((done) => setTimeout(done, millis))

const freePort = () =>
  new Promise<number>((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      server.close(() => done(port))
    })
  })

/** Processor time of the process in seconds, and its resident memory in MB, as Linux reports them. */
const usage = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
  const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  return {
    cpu: (Number(fields[11]) + Number(fields[12])) / 100,
    rss: Math.round(Number(rss) / 1024),
    peak: Math.round(Number(peak) / 1024)
  }
}

const start = async (root: string, data: string) => {
  const port = await freePort()
  const begun = performance.now()
  const program = join(root, "node_modules/.bin", options.runtime)
  const child = spawn(program, [join(root, "apps/timeseries/src/main.ts")], {
    cwd: data,
    env: {
      ...process.env,
      OPSBUDDY_DATA_DIRECTORY: data,
      SERVICE_PORT: String(port),
      OPSBUDDY_TIMESERIES_URL: `http://127.0.0.1:${port}`,
      LOG_LEVEL: "warn"
    },
    stdio: ["ignore", "inherit", "inherit"]
  })
  const url = `http://127.0.0.1:${port}`
  let ended = false
  const exit = new Promise<void>((done) =>
    child.on("exit", () => {
      ended = true
      done()
    })
  )
  while (
    !ended &&
    !(await fetch(`${url}/ready`).then(
      (response) => response.ok,
      () => false
    ))
  )
    await pause(20)
  if (ended) throw new Error("the service did not start")
  return {
    url,
    pid: child.pid ?? 0,
    millis: performance.now() - begun,
    stop: (signal: NodeJS.Signals) => {
      child.kill(signal)
      return exit
    }
  }
}

/** Bodies of one scrape of every series, each of some thousand lines. */
function* scrape(shape: string, time: number) {
  const lines: Array<string> = []
  const series = Number(options.series)
  for (let m = 0; m < (shape === "many" ? Number(options.measurements) : 1); m++) {
    for (let s = 0; s < (shape === "many" ? series : 100); s++) {
      lines.push(
        shape === "many"
          ? `metric_${m},instance=host-${s % 50}:9100,job=node,handler=h${Math.floor(s / 50)} value=${(m * 31 + s * 17 + time) % 1000} ${time}`
          : `cpu,host=host_${s},region=eu-${s % 3} ${Array.from({ length: 10 }, (_, f) => `f${f}=${(s * 13 + f * 7 + time) % 100}`).join()} ${time}`
      )
      if (lines.length === 20_000) yield lines.splice(0).join("\n")
    }
  }
  if (lines.length > 0) yield lines.join("\n")
}

const measure = async (root: string, shape: string) => {
  const data = mkdtempSync(join(tmpdir(), "opsbuddy-bench-"))
  const print = (what: string, value: string) =>
    console.log(`${shape.padEnd(5)} ${root.padEnd(12)} ${what.padEnd(34)} ${value}`)
  let service = await start(resolve(root), data)
  try {
    let slowest = 0
    let polling = true
    const polls = (async () => {
      while (polling) {
        const before = performance.now()
        await fetch(`${service.url}/ready`).catch(() => undefined)
        slowest = Math.max(slowest, performance.now() - before)
        await pause(5)
      }
    })()
    const scrapes = shape === "many" ? Number(options.scrapes) : 1000
    const begun = performance.now()
    let values = 0
    let refused = 0
    const statuses = new Map<number, number>()
    const pending: Array<string> = []
    for (let n = 0; n < scrapes; n++) {
      for (const body of scrape(shape, 1_700_000_000 + n * 15)) {
        if (shape === "wide" && pending.push(body) < 100 && n < scrapes - 1) continue
        const text = shape === "wide" ? pending.splice(0).join("\n") : body
        const response = await fetch(`${service.url}/api/timeseries/write?precision=s`, {
          method: "POST",
          body: text,
          headers: { "content-type": "text/plain" }
        })
        await response.text()
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
        if (response.ok) values += text.split("\n").length * (shape === "many" ? 1 : 10)
        else refused++
        if (refused > 20) throw new Error(`gave up: ${JSON.stringify([...statuses])}`)
      }
    }
    const seconds = (performance.now() - begun) / 1000
    print("statuses", JSON.stringify([...statuses]))
    print("values written, a second", `${values}, ${Math.round(values / seconds)}`)
    print("slowest /ready while writing", `${slowest.toFixed(0)} ms`)
    print("resident now, most", `${usage(service.pid).rss} MB, ${usage(service.pid).peak} MB`)
    slowest = 0
    const query = async (what: string, body: object) => {
      const times: Array<number> = []
      let bytes = 0
      for (let n = 0; n < 7; n++) {
        const before = performance.now()
        const response = await fetch(`${service.url}/api/timeseries/query`, {
          method: "POST",
          body: JSON.stringify(body),
          headers: { "content-type": "application/json" }
        })
        bytes = (await response.text()).length
        if (!response.ok) return print(what, `status ${response.status}`)
        times.push(performance.now() - before)
      }
      print(what, `${times.sort((a, b) => a - b)[3]?.toFixed(1)} ms, ${bytes} bytes`)
    }
    const range = { from: "2023-11-14T00:00:00Z", to: "2023-11-16T00:00:00Z" }
    if (shape === "many") {
      await query("one measurement, by instance", {
        measurement: `metric_${Number(options.measurements) >> 1}`,
        select: [{ field: "value", aggregate: "mean" }],
        groupBy: ["instance"],
        every: "5m",
        ...range
      })
      await query("one series", {
        measurement: "metric_9",
        select: [{ field: "value" }],
        where: { instance: "host-7:9100", handler: "h3" },
        ...range
      })
    } else {
      await query("mean by host and hour", {
        measurement: "cpu",
        select: [{ field: "f3", aggregate: "mean" }],
        groupBy: ["host"],
        every: "1h",
        ...range
      })
      await query("mean of ten fields", {
        measurement: "cpu",
        select: Array.from({ length: 10 }, (_, f) => ({ field: `f${f}`, aggregate: "mean" })),
        ...range
      })
      await query("a million... all points of one field", { measurement: "cpu", select: [{ field: "f1" }], ...range })
    }
    print("slowest /ready while querying", `${slowest.toFixed(0)} ms`)
    polling = false
    await polls
    const before = usage(service.pid)
    await pause(Number(options.idle) * 1000)
    const after = usage(service.pid)
    print("idle CPU", `${(((after.cpu - before.cpu) / Number(options.idle)) * 100).toFixed(1)} % of a core`)
    print("resident", `${after.rss} MB`)
    await service.stop("SIGKILL")
    service = await start(resolve(root), data)
    print("start after kill -9", `${service.millis.toFixed(0)} ms, ${usage(service.pid).rss} MB`)
    await service.stop("SIGTERM")
    service = await start(resolve(root), data)
    print("start after a stop", `${service.millis.toFixed(0)} ms, ${usage(service.pid).rss} MB`)
    print("on disk", `${(statSync(join(data, "timeseries/timeseries.duckdb")).size / 1e6).toFixed(0)} MB`)
  } catch (error) {
    print("failed", String(error))
  } finally {
    await service.stop("SIGKILL")
    rmSync(data, { recursive: true, force: true })
  }
}

for (const shape of options.shape) for (const root of options.root) await measure(root, shape)
