import { Effect, FileSystem, Option } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"

export type Requirements = FileSystem.FileSystem | ChildProcessSpawner.ChildProcessSpawner

/**
 * Which process listens on a TCP port, as `pid 42 (python3 -m http.server)`: from `/proc` on Linux, from `lsof` elsewhere.
 * `undefined` when the system does not tell, as for another user's process.
 */
export const find = Effect.fn("PortOwner.find")(function* (port: number) {
  const fs = yield* FileSystem.FileSystem
  const onLinux = yield* Effect.orElseSucceed(fs.exists("/proc/net/tcp"), () => false)
  return Option.getOrUndefined(onLinux ? yield* Effect.option(fromProc(port)) : yield* Effect.option(fromLsof(port)))
})

/** The inodes of sockets that listen (state 0A) on the port, in the form of https://docs.kernel.org/networking/proc_net_tcp.html */
export const listeningInodes = (table: string, port: number): ReadonlyArray<string> => {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`
  return table.split("\n").flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
    return state === "0A" && local?.endsWith(suffix) === true && inode !== undefined ? [inode] : []
  })
}

const fromProc = Effect.fnUntraced(function* (port: number) {
  const fs = yield* FileSystem.FileSystem
  const read = (file: string) => Effect.orElseSucceed(fs.readFileString(file), () => "")
  const tables = yield* Effect.forEach(["/proc/net/tcp", "/proc/net/tcp6"], read)
  const sockets = new Set(tables.flatMap((table) => listeningInodes(table, port)).map((inode) => `socket:[${inode}]`))
  const pids = (yield* fs.readDirectory("/proc")).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const fds = yield* Effect.orElseSucceed(fs.readDirectory(`/proc/${pid}/fd`), () => [])
    for (const fd of fds) {
      const target = yield* Effect.orElseSucceed(fs.readLink(`/proc/${pid}/fd/${fd}`), () => "")
      if (!sockets.has(target)) continue
      const command = yield* read(`/proc/${pid}/cmdline`)
      return describe(pid, command.split("\0").join(" "))
    }
  }
  return yield* Effect.fail("not told")
})

/** Reads the output of `lsof -Fpc`: a line `p<pid>`, then a line `c<command>`. */
export const ownerInLsof = (output: string): string | undefined => {
  const field = (letter: string) =>
    output
      .split("\n")
      .find((line) => line.startsWith(letter))
      ?.slice(1)
  const pid = field("p")
  return pid === undefined ? undefined : describe(pid, field("c") ?? "")
}

const fromLsof = Effect.fnUntraced(function* (port: number) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const output = yield* spawner.string(ChildProcess.make("lsof", ["-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fpc"]))
  return yield* Effect.fromNullishOr(ownerInLsof(output))
})

const describe = (pid: string, command: string) => {
  const shown = command.trim().slice(0, 120)
  return shown === "" ? `pid ${pid}` : `pid ${pid} (${shown})`
}
