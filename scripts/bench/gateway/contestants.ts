import { join } from "node:path"
import type { Command } from "./processes.ts"

/** Where a contestant finds what it works with. */
export interface Place {
  /** The port that it listens on. */
  readonly port: number
  /** The port that it forwards to. */
  readonly upstream: number
  /** The port of a server that takes everything and keeps nothing. */
  readonly sink: number
  /** The port of its `helper`. */
  readonly helper: number
  /** Its own folder, where its `files` are. */
  readonly folder: string
}

/** A proxy on one port, as a process of its own. */
export interface Contestant {
  readonly name: string
  /** Programs on the `PATH` and packages without which it is left out. */
  readonly programs?: ReadonlyArray<string>
  readonly packages?: ReadonlyArray<string>
  readonly command: (place: Place) => Command
  /** A process that it needs beside it, and that works while it works. */
  readonly helper?: (place: Place) => Command
}

const here = join(import.meta.dirname, "../../..")
const programs = (root: string) => ({
  bun: join(root, "node_modules/.bin/bun"),
  node: join(root, "node_modules/.bin/node")
})

const url = (port: number) => `http://127.0.0.1:${port}`

/** The ports and addresses that OpsBuddy's programs have by default are another's: all of them are set. */
const environment = ({ folder, sink, upstream }: Place, analytics: number) => ({
  OPSBUDDY_FILES_URL: url(upstream),
  OPSBUDDY_UTILITY_URL: url(upstream),
  OPSBUDDY_ANALYTICS_URL: url(analytics),
  OPSBUDDY_TIMESERIES_URL: url(sink),
  OPSBUDDY_DATA_DIRECTORY: join(folder, "data"),
  OPSBUDDY_LOG_FORMAT: "json"
})

/**
 * OpsBuddy's gateway from the working copy at `root`, with everything on that is on by default, and on Bun as it is built
 * for `npm start`. As `proxy` its request records go to the sink, as `everything` to the real analytics on the same
 * runtime.
 */
const opsbuddy = (
  root: string,
  suffix: string,
  runtime: "bun" | "node",
  variant: "proxy" | "everything"
): Contestant => {
  const program = programs(root)[runtime]
  const main = runtime === "bun" ? "dist/main.js" : "src/main.ts"
  const gateway = (place: Place): Command => ({
    program,
    args: [`apps/gateway/${main}`],
    cwd: root,
    env: {
      ...environment(place, variant === "proxy" ? place.sink : place.helper),
      GATEWAY_PORT: String(place.port)
    }
  })
  const analytics = (place: Place): Command => ({
    program,
    args: [`apps/analytics/${main}`],
    cwd: root,
    env: { ...environment(place, place.helper), SERVICE_PORT: String(place.helper) }
  })
  return {
    name: `opsbuddy-${runtime}${variant === "proxy" ? "" : "-everything"}${suffix}`,
    command: gateway,
    ...(variant === "proxy" ? {} : { helper: analytics })
  }
}

/** A proxy of a few lines in `servers`; it reads `PORT` and `UPSTREAM`. */
const server = (name: string, runtime: "bun" | "node", file: string, packages: ReadonlyArray<string>): Contestant => ({
  name,
  packages,
  command: ({ port, upstream }) => ({
    program: programs(here)[runtime],
    args: [join(import.meta.dirname, "servers", file)],
    env: { PORT: String(port), UPSTREAM: url(upstream) }
  })
})

/** In one process, which is what one worker does; an access log is written by none of the peers. */
const nginx: Contestant = {
  name: "nginx",
  programs: ["nginx"],
  command: ({ folder, port, upstream }) => ({
    program: "nginx",
    args: ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"],
    files: {
      "nginx.conf": `
        daemon off; master_process off; pid nginx.pid; error_log stderr warn;
        events { worker_connections 16384; }
        http {
          access_log off; keepalive_timeout 1h; keepalive_requests 1000000000; client_max_body_size 0;
          client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
          upstream up { server 127.0.0.1:${upstream}; keepalive 128; keepalive_requests 1000000000; }
          map $http_upgrade $connection_header { default upgrade; '' ''; }
          server {
            listen 127.0.0.1:${port} backlog=4096;
            location / {
              proxy_pass http://up; proxy_http_version 1.1; proxy_max_temp_file_size 0;
              proxy_set_header Connection $connection_header; proxy_set_header Upgrade $http_upgrade;
              proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Host $http_host;
              proxy_set_header X-Forwarded-Proto $scheme;
            }
          }
        }`
    }
  })
}

const haproxy: Contestant = {
  name: "haproxy",
  programs: ["haproxy"],
  command: ({ folder, port, upstream }) => ({
    program: "haproxy",
    args: ["-db", "-f", join(folder, "haproxy.cfg")],
    files: {
      "haproxy.cfg": `
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  timeout tunnel 1h
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:${port} backlog 4096
  default_backend back
backend back
  server up 127.0.0.1:${upstream}
`
    }
  })
}

const caddy = (name: string, env: Readonly<Record<string, string>>): Contestant => ({
  name,
  programs: ["caddy"],
  command: ({ folder, port, upstream }) => ({
    program: "caddy",
    args: ["run", "--adapter", "caddyfile", "--config", join(folder, "Caddyfile")],
    env: { ...env, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    files: {
      Caddyfile: `
{
  admin off
  auto_https off
}
http://127.0.0.1:${port} {
  reverse_proxy 127.0.0.1:${upstream} {
    transport http {
      keepalive_idle_conns_per_host 128
    }
  }
}
`
    }
  })
})

/** OpsBuddy from each of the `roots`; where there are several, the folder's name tells them apart. */
export const contestants = (roots: ReadonlyArray<string>): ReadonlyArray<Contestant> => [
  nginx,
  haproxy,
  caddy("caddy-1", { GOMAXPROCS: "1" }),
  caddy("caddy", {}),
  server("bun-fetch", "bun", "bunFetch.ts", []),
  server("fastify", "node", "fastify.ts", ["fastify", "@fastify/http-proxy"]),
  server("express", "node", "express.ts", ["express", "http-proxy-middleware"]),
  ...roots.flatMap((root) => {
    const suffix = roots.length === 1 ? "" : `@${root.slice(root.lastIndexOf("/") + 1)}`
    return [
      opsbuddy(root, suffix, "bun", "proxy"),
      opsbuddy(root, suffix, "node", "proxy"),
      opsbuddy(root, suffix, "bun", "everything"),
      opsbuddy(root, suffix, "node", "everything")
    ]
  })
]
