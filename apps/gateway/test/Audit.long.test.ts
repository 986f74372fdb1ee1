import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Audit from "@opsbuddy/runtime/Audit"
import * as Sqlite from "@opsbuddy/runtime/Sqlite"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { disk, empty, fill, noDisk, temporaryFolder } from "@opsbuddy/testing/Disk"
import { Effect, Layer, Logger, Predicate, type Scope } from "effect"
import type { ConfigDocument } from "../src/config/ConfigDocument.ts"
import { nowhere } from "./gateway.ts"
import * as Process from "./process.ts"

const config: ConfigDocument = { upstreams: { shop: { targets: [{ url: nowhere }], health: "off" } } }

const start = (folder: string) => Process.start(config, { OPSBUDDY_DATA_DIRECTORY: folder })

interface Answer {
  readonly status: number
  readonly body: { readonly [member: string]: unknown }
}

/** `undefined` where the connection broke. */
const ask = (port: number, method: string, path: string, payload?: object) =>
  Effect.promise(async (): Promise<Answer | undefined> => {
    try {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        ...(payload === undefined
          ? {}
          : { body: JSON.stringify(payload), headers: { "content-type": "application/json" } })
      })
      const body: unknown = await response.json()
      return { status: response.status, body: Predicate.isObject(body) ? (body as Answer["body"]) : {} }
    } catch {
      return undefined
    }
  })

const answered = (answer: Answer | undefined) => answer ?? assert.fail("the gateway is gone")

const shop = "/api/gateway/upstreams/shop"

/** The reasons of all entries, read from the file of a gateway that does not run, once its chain was found whole. */
const recorded = (folder: string) =>
  Effect.gen(function* () {
    const audit = yield* Audit.Audit
    assert.isUndefined(yield* audit.firstBroken)
    assert.deepStrictEqual(yield* Effect.flatMap(StoreHealth, ({ notices }) => notices), [])
    const reasons: Array<string | undefined> = []
    let cursor: string | undefined
    do {
      const page = yield* audit.list({ limit: 1000, cursor })
      reasons.push(...page.items.map(({ reason }) => reason))
      cursor = page.nextCursor
    } while (cursor !== undefined)
    return reasons
  }).pipe(
    Effect.provide(
      Audit.Audit.layer.pipe(
        Layer.provide(Sqlite.layer({ filename: join(folder, "gateway", "gateway.db"), migrations: Audit.migrations })),
        Layer.provideMerge(StoreHealth.layer)
      )
    )
  )

describe("the audit of the running gateway", () => {
  it.live("loses no action that was acknowledged in 20 kills under load, and stays a whole chain", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const acknowledged: Array<string> = []
      for (let kill = 0; kill < 20; kill++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { pid, port } = yield* start(folder)
            let actions = 0
            const operator = Effect.fnUntraced(function* (name: number) {
              for (let index = 0; ; index++) {
                const reason = `${kill} ${name} ${index}`
                const answer = yield* ask(port, "POST", `${shop}/release`, { reason })
                if (answer === undefined) return
                assert.strictEqual(answer.status, 200, JSON.stringify(answer.body))
                acknowledged.push(reason)
                if (++actions === 30 + 10 * kill) process.kill(pid, "SIGKILL")
              }
            })
            yield* Effect.forEach([1, 2, 3, 4], operator, { concurrency: "unbounded" })
          })
        )
      }
      const reasons = new Set(yield* recorded(folder))
      const lost = acknowledged.filter((reason) => !reasons.has(reason))
      console.log(`20 kills, ${acknowledged.length} actions acknowledged, ${lost.length} lost`)
      assert.deepStrictEqual(lost, [])
      // Each operator may have had one on its way at each kill.
      assert.isAtMost(reasons.size, acknowledged.length + 4 * 20)
    })
  )

  const onDisk = (name: string, test: () => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.live(name, (context) => (noDisk === undefined ? test() : Effect.sync(() => context.skip(noDisk))))

  onDisk("takes what operators do on a full disk, also after a start there", () =>
    Effect.gen(function* () {
      const folder = yield* disk(12)
      const reason = "a full disk"
      const operate = Effect.fnUntraced(function* (port: number) {
        for (const [path, payload] of [
          [`${shop}/force`, { state: "open", reason }],
          [`${shop}/release`, { reason }],
          [`${shop}/drain`, { target: nowhere, reason }],
          [`${shop}/undrain`, { target: nowhere, reason }],
          ["/api/gateway/config/reload", { reason }]
        ] as const) {
          const answer = answered(yield* ask(port, "POST", path, payload))
          assert.strictEqual(answer.status, 200, `${path}: ${JSON.stringify(answer.body)}`)
        }
      })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { port } = yield* start(folder)
          yield* operate(port)
          yield* fill(folder)
          for (let index = 0; index < 200; index++) yield* operate(port)
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { log, port } = yield* start(folder)
          for (let index = 0; index < 20; index++) yield* operate(port)
          assert.notProperty(answered(yield* ask(port, "GET", "/status")).body, "notices")
          assert.notInclude(log(), '"level":"error"')
        })
      )
      yield* empty(folder)
      assert.lengthOf(yield* recorded(folder), 221 * 5)
    }).pipe(Effect.provide(Logger.layer([])))
  )
})
