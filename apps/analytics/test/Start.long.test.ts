import { once } from "node:events"
import { existsSync, statSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { program } from "./program.ts"
import { ask } from "./server.ts"
import { temporaryFolder } from "./stores.ts"

const batches = 50

describe("The analytics process at its start", () => {
  it.live(
    "starts on a log that was cut, keeps what is before the cut, and says in /status what is missing, once",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { address, child } = yield* program(folder)
            for (let batch = 0; batch < batches; batch++) {
              const { status } = yield* ask(address, "/api/analytics/logs", {
                method: "POST",
                body: JSON.stringify([{ level: "info", service: "cut", message: `${batch}` }]),
                headers: { "content-type": "application/json" }
              })
              assert.strictEqual(status, 200)
            }
            const exited = once(child, "exit")
            child.kill("SIGKILL")
            yield* Effect.promise(() => exited)
          })
        )
        const log = join(folder, "analytics", "analytics.duckdb.wal")
        assert.isTrue(existsSync(log))
        truncateSync(log, Math.floor(statSync(log).size * 0.8))

        const start = Effect.scoped(
          Effect.gen(function* () {
            const { address, child } = yield* program(folder)
            const { body } = yield* ask(address, "/api/analytics/logs?service=cut&limit=1000")
            const status = yield* ask(address, "/status")
            const notices = JSON.stringify(status.body.notices ?? [])
            const exited = once(child, "exit")
            child.kill("SIGTERM")
            yield* Effect.promise(() => exited)
            return { messages: (body.items ?? []).map(({ message }) => Number(message)), notices }
          })
        )
        const first = yield* start
        assert.isAbove(first.messages.length, 0)
        assert.isBelow(first.messages.length, batches)
        assert.deepStrictEqual(
          first.messages.toReversed(),
          first.messages.map((_, index) => index)
        )
        const missing = Number(/(\d+) acknowledged commits are missing/.exec(first.notices)?.[1])
        // The kill may have come between the last commit and its mark.
        assert.include([0, 1], batches - first.messages.length - missing)
        const second = yield* start
        assert.deepStrictEqual(second, { messages: first.messages, notices: "[]" })
      }).pipe(Effect.scoped),
    60_000
  )
})
