import type { TargetState } from "@opsbuddy/contract/Service"
import type { Candidate } from "@opsbuddy/resilience/Balance"
import * as Latency from "./Latency.ts"

/** One address of an upstream, and what is known about it. Written by the data path, the health checks and operators. */
export class Target implements Candidate {
  /** `http://host:port`, and what the balance tells targets apart by. */
  readonly id: string
  /** What the configuration names it as: the same, or the `dns://` name that it is an address of. */
  readonly declared: string
  weight: number
  inFlight = 0
  requests = 0
  failures = 0
  /** Since the last answer that was none. */
  failuresInRow = 0
  /** When a reset counted as a failure the last time, in milliseconds of the monotonic clock. */
  lastReset = 0
  /** What the health checks say. */
  checked: "healthy" | "failing" | "unknown" = "unknown"
  /** Checks that contradict `checked`, in a row. */
  contradictions = 0
  /** Milliseconds since 1970. */
  checkedAt: number | undefined
  detail: string | undefined
  draining = false
  /** Brings its next health check forward. */
  recheck: () => void = () => {}
  readonly latency = Latency.make()

  constructor(id: string, declared: string, weight: number) {
    this.id = id
    this.declared = declared
    this.weight = weight
  }

  /** How it is, given whether it is ejected. */
  state(ejected: boolean): TargetState {
    if (this.draining) return "draining"
    return ejected && this.checked !== "failing" ? "ejected" : this.checked
  }
}
