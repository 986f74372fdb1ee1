/** The least that a proxy on Bun can be: no policy, no header of its own. */
const upstream = process.env.UPSTREAM ?? ""

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT),
  idleTimeout: 0,
  maxRequestBodySize: Number.MAX_SAFE_INTEGER,
  fetch: (request) =>
    fetch(upstream + request.url.slice(request.url.indexOf("/", 8)), {
      method: request.method,
      headers: request.headers,
      body: request.body,
      redirect: "manual",
      decompress: false
    })
})
