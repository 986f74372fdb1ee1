import { createServer, type IncomingHttpHeaders } from "node:http"
import { Effect } from "effect"

/** A request as it arrived. */
export interface Arrived {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A server on a free port that answers everything alike, and keeps what arrived. Stops with the scope. */
export const serve = (answer: { readonly status: number; readonly type: string; readonly body: unknown }) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly url: string
      readonly arrived: ReadonlyArray<Arrived>
      readonly close: () => void
    }>((resume) => {
      const arrived: Array<Arrived> = []
      const server = createServer((request, response) => {
        let body = ""
        request.on("data", (chunk) => {
          body += chunk
        })
        request.on("end", () => {
          const { headers, method, url } = request
          arrived.push({ method, url, headers, body })
          response.writeHead(answer.status, { "content-type": answer.type })
          response.end(JSON.stringify(answer.body))
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        const close = () => {
          server.close()
          server.closeAllConnections()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, arrived, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

export const health = {
  status: "healthy",
  service: { name: "gateway", version: "1.2.3", uptime: 1.5 },
  database: "none",
  timestamp: "2026-01-02T03:04:05.678Z"
}
