import { connect, type Socket } from "node:net"
import { Effect, type Scope } from "effect"
import { type Head, makeReader, value } from "./http1.ts"

export interface Question {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent with its length. */
  readonly body?: string | Buffer
}

/** An answer on its way. `closed` ends when the connection has; `complete` tells whether the answer was whole by then. */
export interface Conversation {
  readonly socket: Socket
  readonly head: Promise<Head>
  readonly done: Promise<void>
  readonly received: () => Buffer
  readonly bytes: () => number
  readonly complete: () => boolean
}

export interface Answer {
  readonly head: Head
  readonly status: number
  readonly body: Buffer
  /** Whole by its own framing: neither cut nor silently shortened. */
  readonly complete: boolean
  readonly json: () => Record<string, unknown>
}

const statusOf = (head: Head) => Number(head.line.split(" ")[1])

/** Opens a connection and writes bytes. Bodies are kept up to 1 MB, and counted beyond. */
export const converse = (
  port: number,
  first: string | Buffer,
  method = "GET"
): Effect.Effect<Conversation, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const chunks: Array<Buffer> = []
      let bytes = 0
      let complete = false
      const head = Promise.withResolvers<Head>()
      const done = Promise.withResolvers<void>()
      const reader = makeReader({
        head: (received) => {
          head.resolve(received)
          const status = statusOf(received)
          return method !== "HEAD" && status !== 204 && status !== 304
        },
        body: (chunk) => {
          if (bytes < 1_000_000) chunks.push(Buffer.from(chunk))
          bytes += chunk.length
        },
        end: () => {
          complete = true
          done.resolve()
        }
      })
      const socket = connect(port, "127.0.0.1")
      socket.write(first)
      socket.on("data", (chunk) => reader.push(chunk))
      socket.on("error", () => {})
      socket.on("close", () => {
        reader.close()
        head.reject(new Error("closed before an answer"))
        done.resolve()
      })
      head.promise.catch(() => {})
      return {
        socket,
        head: head.promise,
        done: done.promise,
        received: () => Buffer.concat(chunks),
        bytes: () => bytes,
        complete: () => complete
      }
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

/** The head of a request; the target is sent as it is given. */
export const requestHead = (target: string, { body, headers = {}, method = "GET" }: Question) => {
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  const host = headers.Host === undefined ? ["Host: gateway.test"] : []
  const lines = Object.entries(headers).map(([name, text]) => `${name}: ${text}`)
  return `${[`${method} ${target} HTTP/1.1`, ...host, ...lines, ...length].join("\r\n")}\r\n\r\n`
}

export const open = (port: number, target: string, question: Question = {}) =>
  converse(
    port,
    Buffer.concat([Buffer.from(requestHead(target, question), "latin1"), Buffer.from(question.body ?? "")]),
    question.method
  )

/** Asks on a connection of its own and waits for the whole answer, or for its being cut. */
export const ask = (port: number, target: string, question: Question = {}): Effect.Effect<Answer> =>
  Effect.scoped(
    Effect.gen(function* () {
      const conversation = yield* open(port, target, question)
      const head = yield* Effect.promise(() => conversation.head)
      yield* Effect.promise(() => conversation.done)
      const body = conversation.received()
      return {
        head,
        status: statusOf(head),
        body,
        complete: conversation.complete(),
        // Only tests read it, and they look at what they name.
        json: () => JSON.parse(body.toString()) as Record<string, unknown>
      }
    })
  )

/** The name of the problem that an answer is. */
export const causeOf = (answer: Answer) => String(answer.json().type).replace("urn:opsbuddy:problem:", "")

export const header = (answer: Answer, name: string) => value(answer.head, name)

/** Sends JSON. */
export const post = (port: number, target: string, payload: unknown, headers: Question["headers"] = {}) =>
  ask(port, target, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(payload)
  })
