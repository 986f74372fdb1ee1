import type { ClientConnection, Responder } from "./ClientConnection.ts"
import { reasons } from "./Forward.ts"
import { line } from "./Headers.ts"
import * as Fields from "./http1/Fields.ts"
import type { RequestHead } from "./http1/RequestHead.ts"
import type { RequestBody } from "./RequestBody.ts"

/** Answers the requests for the gateway's own paths. */
export type Handler = (request: Request) => Promise<Response>

/** A body as the handler reads it: no faster than it does. */
const bodyOf = (body: RequestBody, connection: ClientConnection) => {
  let isOpen = true
  return new ReadableStream<Uint8Array>({
    start: (controller) => {
      const write = (slices: ReadonlyArray<Buffer>) => {
        if (!isOpen) return true
        for (const slice of slices) controller.enqueue(slice)
        return (controller.desiredSize ?? 0) > 0
      }
      const end = () => {
        if (isOpen) controller.close()
        isOpen = false
      }
      const goesOn = write(body.into({ write, end }))
      if (body.isWhole) end()
      else if (goesOn) connection.release()
      else connection.hold()
    },
    pull: () => connection.release(),
    cancel: () => {
      isOpen = false
      body.discard()
      connection.release()
    }
  })
}

/** A request with a method that `Request` itself does not take, like `TRACE`: who handles it, decides. */
class AnyRequest extends Request {
  readonly #method: string
  constructor(url: string, init: RequestInit, method: string) {
    super(url, init)
    this.#method = method
  }
  override get method() {
    return this.#method
  }
}

const bodiless = new Set(["GET", "HEAD"])
const usual = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

const requestOf = (connection: ClientConnection, head: RequestHead, body: RequestBody, signal: AbortSignal) => {
  const headers = new Headers()
  Fields.each(head.lines, (name, value) => headers.append(name, value))
  const host = URL.canParse(`http://${head.host}`) ? head.host : "localhost"
  const url = `http://${host}${head.url}`
  const init = { headers, signal }
  if (bodiless.has(head.method) || head.length === 0) {
    body.discard()
    return usual.has(head.method)
      ? new Request(url, { ...init, method: head.method })
      : new AnyRequest(url, init, head.method)
  }
  connection.goOn()
  const sent: RequestInit & { readonly duplex: "half" } = { ...init, body: bodyOf(body, connection), duplex: "half" }
  return usual.has(head.method)
    ? new Request(url, { ...sent, method: head.method })
    : new AnyRequest(url, { ...sent, method: "POST" }, head.method)
}

/** What belongs to the connection is the gateway's to say. */
const framing = new Set(["connection", "content-length", "keep-alive", "transfer-encoding"])

/** Answers one request by the handler, whose body goes out as fast as the client takes it. */
export const respond = (
  handler: Handler,
  connection: ClientConnection,
  head: RequestHead,
  body: RequestBody,
  defect: (error: unknown) => void
): Responder => {
  const leaving = new AbortController()
  let more: (() => void) | undefined

  const send = async (response: Response) => {
    let lines = ""
    response.headers.forEach((value, name) => {
      if (!framing.has(name)) lines += line(name, value)
    })
    const declared = response.headers.get("content-length")
    const length = response.body === null ? 0 : declared === null ? undefined : Number(declared)
    // To `HEAD` the length is that of the answer to `GET`.
    const told = head.method === "HEAD" && declared !== null ? Number(declared) : length
    connection.answer(response.status, reasons[response.status] ?? response.statusText, lines, told)
    if (response.body !== null) await pipe(response.body)
    if (!leaving.signal.aborted) connection.finish()
  }

  const pipe = async (source: ReadableStream<Uint8Array>) => {
    const reader = source.getReader()
    const stop = () => void reader.cancel().catch(() => {})
    leaving.signal.addEventListener("abort", stop)
    // Streams of events begin long before their first event.
    const waits = setTimeout(() => connection.flush(), 1)
    for (;;) {
      const { done, value } = await reader.read()
      if (done || leaving.signal.aborted) break
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      if (connection.write([bytes], bytes.length)) continue
      await new Promise<void>((resolve) => {
        more = resolve
      })
    }
    clearTimeout(waits)
  }

  const go = async () => {
    try {
      await send(await handler(requestOf(connection, head, body, leaving.signal)))
    } catch (error) {
      if (leaving.signal.aborted) return
      defect(error)
      connection.cut()
    }
  }
  void go()

  return {
    clientDrained: () => more?.(),
    clientLeft: () => {
      leaving.abort()
      more?.()
    },
    bodyMalformed: () => false
  }
}
