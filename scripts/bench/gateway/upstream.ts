import { mkdirSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { folderOf, freePort, type Running, ready, start } from "./processes.ts"

export interface Upstream {
  readonly process: Running
  readonly port: number
}

/** What the upstream serves, by path, in bytes. */
export const served = { "/api/files/k": 1024, "/api/files/64k": 64 * 1024, "/api/files/10m": 10 * 1024 * 1024 }

const healthy = `location = /health { default_type application/json; return 200 '{"status":"healthy"}'; }`

const config = (port: number, sink: number, letters: string) => `
  daemon off; master_process off; pid nginx.pid; error_log stderr warn;
  events { worker_connections 16384; }
  http {
    access_log off; sendfile on; tcp_nopush on; open_file_cache max=10 inactive=1h;
    keepalive_timeout 1h; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path body; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    server {
      listen 127.0.0.1:${port} backlog=4096; root files; default_type application/octet-stream;
      location = /api/files/k { return 200 '${letters}'; }
      ${healthy}
    }
    server {
      listen 127.0.0.1:${sink} backlog=4096; default_type application/json;
      ${healthy}
      location = /api/timeseries/write { return 200 '{"points":1}'; }
      location / { return 200 '{"accepted":1}'; }
    }
  }`

/** nginx, which serves one kilobyte from its memory and larger bodies from files, and on a second port takes anything. */
export const startUpstream = async (): Promise<Upstream & { readonly sink: number }> => {
  const folder = folderOf("upstream")
  const files = join(folder, "files/api/files")
  mkdirSync(files, { recursive: true })
  for (const [path, bytes] of Object.entries(served)) {
    const file = join(folder, "files", path)
    writeFileSync(file, "")
    truncateSync(file, bytes)
  }
  const [port, sink] = [await freePort(), await freePort()]
  const process = start("upstream", {
    program: "nginx",
    args: ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"],
    files: { "nginx.conf": config(port, sink, "k".repeat(served["/api/files/k"])) }
  })
  await ready(process, `http://127.0.0.1:${port}/api/files/k`)
  return { process, port, sink }
}

/** A Bun server that echoes WebSocket messages. */
export const startEcho = async (): Promise<Upstream> => {
  const port = await freePort()
  const echo = join(import.meta.dirname, "servers/echo.ts")
  const server = start("echo", { program: process.execPath, args: [echo], env: { PORT: String(port) } })
  await ready(server, `http://127.0.0.1:${port}/health`)
  return { process: server, port }
}
