import proxy from "@fastify/http-proxy"
import fastify from "fastify"

const server = fastify({ keepAliveTimeout: 3_600_000 })
await server.register(proxy, { upstream: process.env.UPSTREAM ?? "", websocket: true })
await server.listen({ host: "127.0.0.1", port: Number(process.env.PORT), backlog: 4096 })
