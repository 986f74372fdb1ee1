import type { Route } from "./Route.ts"
import { MethodMismatch } from "./RouteTable.ts"

const pages = new Set(["/health", "/ready", "/status", "/metrics", "/docs", "/openapi.json"])

/** The paths that the gateway serves itself. */
export const isOwn = (path: string) => pages.has(path) || path === "/api/gateway" || path.startsWith("/api/gateway/")

/** Whether the gateway answers a request itself: its own paths, on every host that no route names. */
export const takes = (path: string, found: Route | MethodMismatch | undefined) =>
  isOwn(path) && (found === undefined || found instanceof MethodMismatch || found.config.host === undefined)
