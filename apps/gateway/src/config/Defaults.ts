/** What holds where a file says nothing, as it would be written in the file. */
export const upstream = {
  balance: "round-robin",
  timeouts: { attempt: "5s", upload: "1h", idle: "60s", total: "30s" },
  retry: { attempts: 2, budget: 0.2, backoff: { base: "25ms", max: "1s" } },
  circuit: { consecutiveFailures: 5, openFor: "60s", probeTimeout: "30s" },
  outliers: { consecutiveFailures: 5, ejectFor: "10s", maxEjectFor: "5m", maxEjected: 0.5 },
  health: { path: "/health", every: "10s", timeout: "3s", healthyAfter: 1, unhealthyAfter: 2 },
  concurrency: { max: 512, queue: 128, wait: "1s" }
} as const

/** Within an upstream, of what is there only where it is written. */
export const target = { weight: 1 }
export const failureRate = { threshold: 0.5, minimumCalls: 20, calls: 100 }
export const hash = { by: "client" }

export const route = {
  headers: {},
  timeouts: {},
  retry: {},
  requestHeaders: { set: {}, remove: [] },
  responseHeaders: { set: {}, remove: [] },
  securityHeaders: false
} as const

/** Within a route, of what is there only where it is written. */
export const redirect = { status: 302 }
export const limit = { by: "client" }
export const cors = {
  methods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
  headers: ["authorization", "content-type"],
  exposedHeaders: ["x-request-id"],
  credentials: false,
  maxAge: "10m"
} as const

export const rest = { trustedProxies: [], rateLimits: { whenGone: "local" } } as const
