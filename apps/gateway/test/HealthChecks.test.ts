import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, header } from "./client.ts"
import * as Gateway from "./gateway.ts"
import * as Upstream from "./upstream.ts"

const named = (name: string) => Upstream.make(Upstream.replies("200 OK", [`X-Name: ${name}`]))

const setup = Effect.gen(function* () {
  const [a, b] = [yield* named("a"), yield* named("b")]
  // A target that fails one check is failing: what is tested here is what becomes of it then.
  const upstream = { health: { every: "5s", unhealthyAfter: 1 }, retry: { attempts: 1 } } as const
  return { a, b, upstream, port: yield* Gateway.make({ targets: [a.url, b.url], upstream }) }
})

/** Who answers the next ten requests. */
const answering = (port: number) =>
  Effect.map(
    Effect.forEach(Array.from({ length: 10 }), () => ask(port, "/shop")),
    (answers) =>
      answers
        .map((answer) => header(answer, "x-name") ?? String(answer.status))
        .sort()
        .join("")
  )

describe("Two targets of an upstream", () => {
  it.live("are asked in turn", () =>
    Effect.gen(function* () {
      const { port } = yield* setup
      assert.strictEqual(yield* answering(port), "aaaaabbbbb")
    })
  )

  it.live("are one while the other fails its health checks, and two again when it passes", () =>
    Effect.gen(function* () {
      const { b, port } = yield* setup
      yield* Gateway.checked(port)
      yield* b.stop
      // A target that passes is asked every 5 s.
      yield* Gateway.eventually(Gateway.shop(port), ({ targets }) => targets[1]?.health === "failing", "9 seconds")
      assert.strictEqual(yield* answering(port), "aaaaaaaaaa")
      yield* b.restart
      yield* Gateway.eventually(Gateway.shop(port), ({ targets }) => targets[1]?.health === "healthy", "4 seconds")
      assert.strictEqual(yield* answering(port), "aaaaabbbbb")
    })
  )

  it.live("are both tried when both fail their health checks", () =>
    Effect.gen(function* () {
      const { a, b, upstream } = yield* setup
      yield* a.stop
      yield* b.stop
      const restarted = yield* Gateway.make({ targets: [a.url, b.url], upstream })
      yield* Gateway.eventually(Gateway.shop(restarted), ({ targets }) =>
        targets.every((target) => target.health === "failing" && target.detail === "connection failed")
      )
      const answers = yield* Effect.forEach([1, 2], () => ask(restarted, "/shop"))
      assert.deepStrictEqual(new Set(answers.map((answer) => answer.json().target)), new Set([a.url, b.url]))
    })
  )
})
