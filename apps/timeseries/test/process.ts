import { fileURLToPath } from "node:url"
import * as Program from "@opsbuddy/testing/Program"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

/** The program as a user starts it, on a free port; killed with the scope. */
export const start = (dataDirectory: string) => Program.start(main, dataDirectory)

/** What a request was answered with. */
export interface Response {
  readonly status: number
  // Only tests read it, and they look at what they name.
  // biome-ignore lint/suspicious/noExplicitAny: the body of any response
  readonly body: any
}

/** Fails where there is no whole response. */
export const send = async (url: string, init?: RequestInit): Promise<Response> => {
  const response = await fetch(url, init)
  return { status: response.status, body: await response.json() }
}

export const write = (address: string, lines: string) =>
  send(`${address}/api/timeseries/write`, { method: "POST", body: lines, headers: { "content-type": "text/plain" } })

export const query = (address: string, query: unknown) =>
  send(`${address}/api/timeseries/query`, {
    method: "POST",
    body: JSON.stringify(query),
    headers: { "content-type": "application/json" }
  })
