// A small program in place of an app. How it behaves is told by FAKE_<NAME>, words separated by commas:
// exit=CODE ends at once, crash=MILLIS ends with 1 after it was ready, slow=MILLIS takes that long to be ready,
// drain=MILLIS takes that long to stop, deaf ignores SIGTERM, heir leaves a process behind that ignores SIGTERM,
// flood writes log lines without end, once=FILE does all that only while FILE is absent.
import { spawn } from "node:child_process"
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"

const [name = "", task] = process.argv.slice(2)
const directory = process.env.OPSBUDDY_DATA_DIRECTORY ?? ""
const words = new Map(
  (process.env[`FAKE_${name.toUpperCase()}`] ?? "").split(",").map((word) => {
    const [key = "", value = ""] = word.split("=")
    return [key, value] as const
  })
)
const once = words.get("once")
if (once !== undefined && existsSync(once)) words.clear()
if (once !== undefined) writeFileSync(once, "")
const millis = (word: string) => Number(words.get(word) ?? 0)
const log = (message: string) => process.stdout.write(`${JSON.stringify({ service: name, message })}\n`)
const note = (what: string) => appendFileSync(`${directory}/${name}.notes`, `${what} ${process.pid} ${Date.now()}\n`)

if (task === "env") {
  const port = name === "gateway" ? "GATEWAY_PORT" : "SERVICE_PORT"
  const known = { required: false, secret: false }
  console.log(
    JSON.stringify([
      { name: port, description: "port to listen on", default: `80-${name}`, ...known },
      {
        name: "LOG_LEVEL",
        description: "least severe level",
        default: "info",
        ...known,
        value: "loud",
        problem: "is not a level"
      },
      { name: "FAKE_TOKEN", description: "a secret", ...known, secret: true, value: "<hidden>" }
    ])
  )
  process.exit(0)
}

mkdirSync(directory, { recursive: true })
note("started")
writeFileSync(`${directory}/${name}.env`, JSON.stringify(process.env))
if (words.has("exit")) {
  log("about to end")
  console.error(`the environment is not valid:\n  FAKE_${name.toUpperCase()}: ends with ${words.get("exit")}`)
  process.exit(millis("exit"))
}
if (words.has("heir")) {
  const heir = spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"], {
    stdio: "ignore"
  })
  note(`heir=${heir.pid}`)
}
const prefix = name === "gateway" ? "GATEWAY" : "SERVICE"
const server = createServer((request, response) => {
  const storage = name === "gateway" ? {} : { storage: { kind: "fake", location: directory, bytes: 1 } }
  response.end(JSON.stringify(request.url === "/status" ? storage : { ready: true }))
})
const listen = () =>
  server.listen(Number(process.env[`${prefix}_PORT`]), process.env[`${prefix}_HOST`], () => {
    log("listening")
    if (words.has("crash")) setTimeout(() => process.exit(1), millis("crash"))
  })
setTimeout(listen, millis("slow"))

const stop = (why: string) => () => {
  note(why)
  if (words.has("deaf") && why === "SIGTERM") return
  setTimeout(() => {
    note("ended")
    process.exit(0)
  }, millis("drain"))
}
process.on("SIGTERM", stop("SIGTERM"))
process.stdin.once("end", stop("orphaned"))
process.stdin.once("error", stop("orphaned"))
process.stdin.resume()
if (words.has("flood"))
  setInterval(() => {
    for (let i = 0; i < 500; i++) log("x".repeat(1000))
  }, 1)
