import { Agent, createServer } from "node:http"
// @ts-expect-error: express has no types of its own
import express from "express"
import { createProxyMiddleware } from "http-proxy-middleware"

const proxy = createProxyMiddleware({
  target: process.env.UPSTREAM ?? "",
  agent: new Agent({ keepAlive: true, maxFreeSockets: 1024 })
})
const app = express()
app.use(proxy)
const server = createServer({ keepAliveTimeout: 3_600_000 }, app)
server.on("upgrade", proxy.upgrade)
server.listen(Number(process.env.PORT), "127.0.0.1", 4096)
