import { Duration } from "effect"
import type { Asked } from "./Exchange.ts"
import type { CorsConfig } from "./GatewayConfig.ts"

type Headers = ReadonlyArray<readonly [name: string, value: string]>

/** Headers of an upstream's answer that a route with a rule of its own does not pass on. */
export const replaced = [
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "access-control-expose-headers"
] as const

const vary = ["vary", "Origin"] as const

/** The origin to allow: the caller's where it may, as no cache then mixes up answers for several; `*` where anyone may. */
const allowed = (cors: CorsConfig, origin: string | undefined) => {
  if (cors.origins.includes("*") && !cors.credentials) return "*"
  return origin !== undefined && cors.origins.includes(origin) ? origin : undefined
}

const credentials = (cors: CorsConfig): Headers =>
  cors.credentials ? [["access-control-allow-credentials", "true"]] : []

/** The headers of an answer to a cross-origin request: only `Vary` for an origin that may not read it. */
export const headers = (cors: CorsConfig, exchange: Asked): Headers => {
  const origin = allowed(cors, exchange.header("origin"))
  if (origin === undefined) return [vary]
  return [
    ["access-control-allow-origin", origin],
    ...(origin === "*" ? [] : [vary]),
    ...credentials(cors),
    ...(cors.exposedHeaders.length === 0
      ? []
      : [["access-control-expose-headers", cors.exposedHeaders.join(", ")] as const])
  ]
}

/** The answer to a preflight (https://fetch.spec.whatwg.org/#cors-preflight-request), `undefined` where the request is none. */
export const preflight = (cors: CorsConfig, exchange: Asked): Headers | undefined => {
  const method = exchange.header("access-control-request-method")
  const from = exchange.header("origin")
  if (exchange.method !== "OPTIONS" || method === undefined || from === undefined) return undefined
  const varying = ["vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"] as const
  const origin = allowed(cors, from)
  if (origin === undefined) return [varying]
  return [
    ["access-control-allow-origin", origin],
    ["access-control-allow-methods", cors.methods.join(", ")],
    ...(cors.headers.length === 0 ? [] : [["access-control-allow-headers", cors.headers.join(", ")] as const]),
    ["access-control-max-age", String(Math.floor(Duration.toSeconds(cors.maxAge)))],
    ...credentials(cors),
    varying
  ]
}
