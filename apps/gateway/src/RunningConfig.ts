import type { RunningConfig } from "@opsbuddy/contract/Gateway"
import type { Gateway } from "./Gateway.ts"

/** What the gateway runs with, as the contract tells it. */
export const tell = (gateway: Gateway["Service"], file: string | undefined): RunningConfig => {
  const { loaded, loadedAt, revision, trigger } = gateway.running()
  const rejected = gateway.rejected()
  return {
    revision,
    loadedAt,
    trigger,
    ...(file === undefined ? {} : { file }),
    config: loaded.effective.document,
    origins: loaded.effective.origins,
    ...(rejected === undefined ? {} : { rejected })
  }
}
