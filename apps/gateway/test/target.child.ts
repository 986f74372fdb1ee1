import { createServer } from "node:http"

/** A service of a test's own: `target.child.ts PORT` answers everything with 200, within some milliseconds. */
const server = createServer((request, response) => {
  const answer = () => {
    response.setHeader("content-type", "application/json")
    response.end(JSON.stringify({ status: "healthy", path: request.url }))
  }
  if (request.url === "/health") answer()
  else setTimeout(answer, Math.random() * 10)
})
server.listen(Number(process.argv[2]), "127.0.0.1", () => process.stdout.write("listening\n"))
