import type { SystemInfo } from "@opsbuddy/contract/Utility"
import { Context, type Effect } from "effect"

/** CPU time since the machine was started, over all CPUs, by state; in any unit, as only shares of it mean something. */
export type CpuTimes = Readonly<Record<string, number>>

/** What an interface has received and sent since it was there. */
export interface Traffic {
  readonly interface: string
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly receivedPackets: number
  readonly sentPackets: number
}

/** Knows the machine that this program runs on. Backends: `SystemInformationNode`. */
export class SystemInformation extends Context.Service<
  SystemInformation,
  {
    /**
     * The machine now. Disks are local file systems by mount, each device once; available memory is what programs can have
     * without swapping, and used memory is the rest.
     */
    readonly info: Effect.Effect<SystemInfo>
    readonly cpuTimes: Effect.Effect<CpuTimes>
    /** By interface, without loopback and containers' ends; empty where the system does not tell. */
    readonly traffic: Effect.Effect<ReadonlyArray<Traffic>>
  }
>()("@opsbuddy/utility/SystemInformation") {}
