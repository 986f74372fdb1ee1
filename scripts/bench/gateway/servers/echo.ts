/** Echoes WebSocket messages, and is healthy. */
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT),
  fetch: (request, server) =>
    server.upgrade(request)
      ? undefined
      : Response.json({ status: "healthy" }, { headers: { "cache-control": "no-store" } }),
  websocket: {
    message: (socket, message) => {
      socket.send(message)
    }
  }
})
