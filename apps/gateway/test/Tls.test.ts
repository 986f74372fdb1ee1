import { readFileSync } from "node:fs"
import { createServer } from "node:https"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, causeOf } from "./client.ts"
import * as Process from "./process.ts"

/** Made for this test and trusted by nobody else: `localhost` and `127.0.0.1`, signed by itself. */
const certificate = new URL("tls/localhost.cert.pem", import.meta.url)
const key = new URL("tls/localhost.key.pem", import.meta.url)

/** A server that answers with what it was sent. */
const server = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly requests: Array<string>; readonly stop: () => void }>((resume) => {
    const requests: Array<string> = []
    const made = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (request, response) => {
      requests.push(request.url ?? "")
      request.pipe(response)
    })
    made.listen(0, "127.0.0.1", () => {
      const address = made.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      resume(Effect.succeed({ port, requests, stop: () => made.close() }))
    })
  }),
  ({ stop }) => Effect.sync(stop)
)

const behind = Effect.fnUntraced(function* (host: string, environment: Readonly<Record<string, string>> = {}) {
  const { port, requests } = yield* server
  const config = {
    upstreams: {
      shop: { targets: [`https://${host}:${port}`], health: "off" as const, retry: { attempts: 1 } }
    },
    routes: [{ name: "shop", path: "/shop", upstream: "shop" }]
  }
  return { requests, gateway: yield* Process.start(config, environment) }
})

describe("A target with TLS", () => {
  for (const host of ["localhost", "127.0.0.1"]) {
    it.live(`that the system trusts gets requests and answers them, large ones too: ${host}`, () =>
      Effect.gen(function* () {
        const { gateway } = yield* behind(host, { NODE_EXTRA_CA_CERTS: certificate.pathname })
        for (const size of [5, 900_000]) {
          const body = "x".repeat(size)
          const answer = yield* ask(gateway.port, "/shop", { method: "POST", body })
          assert.deepStrictEqual([answer.status, answer.complete], [200, true])
          assert.isTrue(answer.body.toString() === body)
        }
      })
    )
  }

  it.live("that nobody vouches for gets nothing", () =>
    Effect.gen(function* () {
      const { gateway, requests } = yield* behind("localhost")
      const answer = yield* ask(gateway.port, "/shop", { headers: { Authorization: "Bearer secret" } })
      assert.deepStrictEqual([answer.status, causeOf(answer)], [502, "connect-failed"])
      assert.include(String(answer.json().detail), "SELF_SIGNED_CERT")
      assert.deepStrictEqual(requests, [])
    })
  )
})
