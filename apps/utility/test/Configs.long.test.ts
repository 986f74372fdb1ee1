import { readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { disk, empty, fill, noDisk } from "@opsbuddy/testing/Disk"
import { Effect, type Scope } from "effect"
import { eventually, temporaryFolder } from "./processes.ts"
import { type Answer, type Program, start } from "./program.ts"

const configs = "/api/utils/configs"

const answered = (answer: Answer | undefined) => answer ?? assert.fail("the service is gone")

/** Reads, adds one, and writes under the condition that nobody else has; again until it is so. Stops where the service does. */
const increment = Effect.fnUntraced(function* ({ ask }: Program, key: string) {
  for (;;) {
    const read = yield* ask("GET", `${configs}/${key}`)
    if (read === undefined) return false
    const condition: Record<string, string> =
      read.status === 404 ? { "if-none-match": "*" } : { "if-match": read.headers.get("etag") ?? "" }
    const next = read.status === 404 ? 1 : Number(read.body.value) + 1
    const written = yield* ask("PUT", `${configs}/${key}`, `${next}`, condition)
    if (written === undefined) return false
    if (written.status === 200) return true
    assert.strictEqual(written.status, 412, JSON.stringify(written.body))
  }
})

const noticesOf = ({ ask }: Program) =>
  Effect.map(ask("GET", "/status"), (status) => {
    const notices = (answered(status).body.notices ?? []) as ReadonlyArray<{ readonly message: string }>
    return notices.map(({ message }) => message)
  })

describe("configurations of the running service", () => {
  it.live("lose none of 200 increments by 4 clients", () =>
    Effect.gen(function* () {
      const program = yield* start(yield* temporaryFolder)
      yield* Effect.forEach(
        [1, 2, 3, 4],
        () => Effect.forEach(Array(50), () => increment(program, "counter"), { discard: true }),
        { concurrency: 4 }
      )
      const counter = answered(yield* program.ask("GET", `${configs}/counter`))
      assert.deepInclude(counter.body, { value: 200, version: 200 })
    })
  )

  it.live("lose nothing that was acknowledged in 20 kills under load, and raise no alarm", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      let increments = 0
      /** The value that was acknowledged last, by key. */
      const acknowledged = new Map<string, number>()
      for (let kill = 0; kill < 20; kill++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const program = yield* start(folder)
            assert.deepStrictEqual(yield* noticesOf(program), [])
            for (const [key, value] of [...acknowledged].slice(-20)) {
              assert.deepInclude(answered(yield* program.ask("GET", `${configs}/${key}`)).body, { value })
            }
            let writes = 0
            const writer = Effect.fnUntraced(function* (client: number) {
              for (let index = 0; ; index++) {
                const key = `kill${kill}.client${client}.${index % 50}`
                const written = yield* program.ask("PUT", `${configs}/${key}`, `${index}`)
                if (written === undefined) return
                assert.strictEqual(written.status, 200)
                acknowledged.set(key, index)
                writes++
              }
            })
            const counter = Effect.gen(function* () {
              while (yield* increment(program, "counter")) increments++
            })
            const killer = Effect.andThen(
              eventually(() => writes > 50 + 10 * kill),
              program.kill
            )
            yield* Effect.all([writer(1), writer(2), writer(3), counter, counter, killer], { concurrency: "unbounded" })
          })
        )
      }
      const program = yield* start(folder)
      assert.deepStrictEqual(yield* noticesOf(program), [])
      let lost = 0
      for (const [key, value] of acknowledged) {
        const { body } = answered(yield* program.ask("GET", `${configs}/${key}`))
        // The next value of the key may have been on its way.
        if (body.value !== value && body.value !== value + 50) lost++
      }
      const { body } = answered(yield* program.ask("GET", `${configs}/counter`))
      console.log(`20 kills, ${acknowledged.size} keys and ${increments} increments acknowledged, ${lost} lost`)
      assert.strictEqual(lost, 0)
      assert.isAtLeast(Number(body.value), increments)
      // Both clients may have had one on its way at each kill.
      assert.isAtMost(Number(body.value), increments + 40)
    })
  )

  for (const [what, damage] of [
    [
      "one wrong byte",
      (log: string) => {
        const content = readFileSync(log)
        const at = content.length - 3 * 4096
        content[at] = (content[at] ?? 0) ^ 1
        writeFileSync(log, content)
      }
    ],
    ["half of it cut off", (log: string) => truncateSync(log, readFileSync(log).length / 2)]
  ] as const) {
    it.live(`that a log with ${what} has lost are told in the log and in /status`, () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const first = yield* start(folder)
        for (let index = 0; index < 20; index++) {
          assert.strictEqual(answered(yield* first.ask("PUT", `${configs}/key${index}`, `${index}`)).status, 200)
        }
        yield* first.kill
        damage(join(folder, "utility", "utility.db-wal"))
        const second = yield* start(folder)
        const left = answered(yield* second.ask("GET", configs)).body.items as ReadonlyArray<unknown>
        assert.isBelow(left.length, 20)
        const file = join(folder, "utility", "utility.db")
        const message = `${20 - left.length} acknowledged commits are missing from ${file}: its log was damaged or cut, or an older copy was put back`
        assert.deepStrictEqual(yield* noticesOf(second), [message])
        assert.strictEqual(second.log().filter((line) => line.message === message && line.level === "warn").length, 1)
        assert.strictEqual(answered(yield* second.ask("PUT", `${configs}/more`, "1")).status, 200)
      })
    )
  }

  /** A test that needs a disk of its own. */
  const onDisk = (name: string, test: () => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.live(name, (context) => (noDisk === undefined ? test() : Effect.sync(() => context.skip(noDisk))))

  onDisk("are removed on a full disk and refused with the reason, and health tells, until there is room", () =>
    Effect.gen(function* () {
      const folder = yield* disk(16)
      const reason = `the disk of ${join(folder, "utility")} is full`
      const program = yield* start(folder)
      const ask = (method: string, path: string, body?: string) => Effect.map(program.ask(method, path, body), answered)
      const large = JSON.stringify("x".repeat(500_000))
      for (let index = 0; index < 5; index++) yield* ask("PUT", `${configs}/key${index}`, large)
      yield* fill(folder)
      let refused: Answer
      let written = 0
      do {
        refused = yield* ask("PUT", `${configs}/more${written++}`, large)
      } while (refused.status === 200)
      const problem = { type: "urn:opsbuddy:problem:insufficient-storage", status: 507, detail: reason }
      assert.deepInclude(refused.body, problem)
      assert.deepInclude((yield* ask("PUT", `${configs}/key0`, large)).body, problem)
      assert.deepInclude((yield* ask("GET", "/health")).body, {
        status: "degraded",
        database: "degraded",
        reasons: [reason]
      })
      assert.strictEqual((yield* ask("GET", `${configs}/key1`)).status, 200)
      assert.strictEqual((yield* ask("POST", "/api/utils/commands/date/run")).status, 200)
      for (let index = 0; index < 5; index++) {
        assert.strictEqual((yield* ask("DELETE", `${configs}/key${index}`)).status, 204)
      }
      assert.strictEqual((yield* ask("GET", `${configs}/key1`)).status, 404)
      const outage = () =>
        program.log().flatMap(({ message }) => (String(message).startsWith("store ") ? [message] : []))
      assert.deepStrictEqual(outage(), ["store refuses writes"])
      yield* empty(folder)
      assert.deepInclude((yield* ask("GET", "/health")).body, { status: "healthy", database: "healthy" })
      assert.deepStrictEqual(outage(), ["store refuses writes", "store takes writes again"])
      assert.strictEqual((yield* ask("PUT", `${configs}/key0`, large)).status, 200)
    })
  )

  onDisk("are there after a start on a full disk, and can be removed", () =>
    Effect.gen(function* () {
      const folder = yield* disk(12)
      const first = yield* start(folder)
      for (let index = 0; index < 5; index++) yield* first.ask("PUT", `${configs}/key${index}`, "1")
      yield* first.kill
      yield* fill(folder)
      const second = yield* start(folder)
      for (let index = 0; index < 5; index++) {
        assert.deepInclude(answered(yield* second.ask("GET", `${configs}/key${index}`)).body, { value: 1 })
        assert.strictEqual(answered(yield* second.ask("DELETE", `${configs}/key${index}`)).status, 204)
      }
    })
  )
})
