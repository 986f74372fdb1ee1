import type { Sockets } from "./Socket.ts"

/** The sockets of the runtime that this process runs on; only this file chooses. */
export const load = async (): Promise<Sockets> =>
  typeof Bun === "undefined" ? (await import("./SocketsNode.ts")).sockets : (await import("./SocketsBun.ts")).sockets
