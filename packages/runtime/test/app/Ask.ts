import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Served } from "./Served.ts"

const Problem = Schema.Struct({
  type: Schema.String.check(Schema.isPattern(/^urn:opsbuddy:problem:[a-z]+(-[a-z]+)*$/)),
  title: Schema.NonEmptyString,
  status: Schema.Int,
  detail: Schema.NonEmptyString,
  instance: Schema.String,
  requestId: Schema.NonEmptyString
})

const Members = Schema.Record(Schema.String, Schema.Unknown)

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** Asks the test app with the runtime's own client. */
export const ask = Effect.fnUntraced(function* (method: string, path: string, init: RequestInit = {}) {
  const { url } = yield* Served
  return yield* Effect.promise(async (signal): Promise<Answer> => {
    const response = await fetch(`${url}${path}`, { method, signal, ...init })
    return { status: response.status, headers: response.headers, text: await response.text() }
  })
})

export const post = (path: string, body: string, contentType = "application/json") =>
  ask("POST", path, { body, headers: { "content-type": contentType } })

/** All members of a JSON body. */
export const members = (answer: { readonly text: string }) =>
  Schema.decodeUnknownSync(Schema.fromJsonString(Members))(answer.text)

/** The members of an answer that is a problem in every respect: its type, its media type, its ids. */
export const problem = (answer: Answer, name: string, path: string) => {
  assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
  const body = Schema.decodeUnknownSync(Schema.fromJsonString(Problem))(answer.text)
  assert.strictEqual(body.type, `urn:opsbuddy:problem:${name}`)
  assert.strictEqual(body.status, answer.status)
  assert.strictEqual(body.instance, path)
  assert.strictEqual(body.requestId, answer.headers.get("x-request-id"))
  return members(answer)
}
