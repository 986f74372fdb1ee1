import type { ServiceName } from "@opsbuddy/contract/Wire"
import { Data } from "effect"

/** What ends this program with a message and an exit code, without a stack trace. */
export interface Refusal {
  readonly message: string
  readonly exitCode: number
}

/** A port as it is wanted by a service; `owner` is the process that has it, when the system tells. */
export interface TakenPort {
  readonly service: ServiceName
  readonly address: string
  readonly reason: string
  readonly owner: string | undefined
}

export class PortsTaken extends Data.TaggedError("PortsTaken")<{ readonly ports: ReadonlyArray<TakenPort> }> {
  readonly exitCode = 1
  override get message() {
    const lines = this.ports.map(
      ({ address, owner, reason, service }) =>
        `  ${address} for ${service}: ${reason}${owner === undefined ? "" : ` by ${owner}`}`
    )
    return [
      "these addresses cannot be listened on, nothing was started:",
      ...lines,
      "Stop what uses them, or move every port with --port-base."
    ].join("\n")
  }
}

export class AlreadyRunning extends Data.TaggedError("AlreadyRunning")<{
  readonly dataDirectory: string
  readonly pid: number | undefined
}> {
  readonly exitCode = 1
  override get message() {
    const holder = this.pid === undefined ? "another process" : `pid ${this.pid}`
    return `${this.dataDirectory} is in use by an "opsbuddy up" that runs already: ${holder}. Stop it, or choose another folder with --data.`
  }
}

export class DataDirectoryUnusable extends Data.TaggedError("DataDirectoryUnusable")<{
  readonly dataDirectory: string
  readonly cause: unknown
}> {
  readonly exitCode = 1
  override get message() {
    return `the data folder ${this.dataDirectory} cannot be used: ${this.cause instanceof Error ? this.cause.message : this.cause}`
  }
}

export class HostRefused extends Data.TaggedError("HostRefused")<{ readonly host: string }> {
  readonly exitCode = 1
  override get message() {
    return (
      `the gateway is not opened on ${this.host}: open to the network it is never without login, and there is no login yet. ` +
      "It listens on loopback addresses only, such as 127.0.0.1."
    )
  }
}

/** A child ended its first start with exit code 78: the environment is not valid. `output` is what it said. */
export class EnvironmentRejected extends Data.TaggedError("EnvironmentRejected")<{
  readonly service: ServiceName
  readonly output: ReadonlyArray<string>
}> {
  readonly exitCode = 78
  override get message() {
    return [`${this.service} does not start:`, ...this.output.map((line) => `  ${line}`)].join("\n")
  }
}

/** Something asked of another program or of the gateway did not work. */
export class Unavailable extends Data.TaggedError("Unavailable")<{ readonly reason: string }> {
  readonly exitCode = 1
  override get message() {
    return this.reason
  }
}

export class KilledAtOnce extends Data.TaggedError("KilledAtOnce") {
  readonly exitCode = 130
  override get message() {
    return "killed at once, what was in progress is lost"
  }
}

/** The refusal that a failure is, if it is one. */
export const asRefusal = (error: unknown): Refusal | undefined =>
  error instanceof Error && "exitCode" in error && typeof error.exitCode === "number"
    ? { message: error.message, exitCode: error.exitCode }
    : undefined
