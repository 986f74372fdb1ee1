import { RequestAccount } from "@opsbuddy/contract/Gateway"
import { InvalidRequest } from "@opsbuddy/contract/Problems"
import { Effect, Schema } from "effect"
import type { AccountEncoded } from "./AccountText.ts"
import type { RequestLog } from "./RequestLog.ts"

export interface Question {
  readonly route?: string
  readonly upstream?: string
  readonly cause?: string
  readonly minStatus?: number
  /** 1 to 1000; 100 when absent. */
  readonly limit?: number
  readonly cursor?: string
}

/** At most this many requests are looked at for one page, which takes some tens of milliseconds; the next page goes on. */
const mostLookedAt = 10_000

const matches = ({ answer, route, upstream }: AccountEncoded, question: Question) =>
  (question.route === undefined || route.name === question.route) &&
  (question.upstream === undefined || upstream?.name === question.upstream) &&
  (question.cause === undefined || answer.cause === question.cause) &&
  (question.minStatus === undefined || answer.status >= question.minStatus)

const message = "Expected the nextCursor of a page of this list"

/** An account as the contract has it. The text is ours, so that one that does not decode is a bug. */
export const decode = Schema.decodeSync(RequestAccount)

/** A page of the recent requests that match, newest first. The cursor is a position in the log, which stays while requests come. */
export const list = (log: RequestLog, question: Question) => {
  const { cursor, limit = 100 } = question
  if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) {
    const errors = [{ path: ["query", "cursor"], message }]
    return Effect.fail(new InvalidRequest({ detail: `query.cursor: ${message}`, errors }))
  }
  return Effect.sync(() => {
    const items: Array<RequestAccount> = []
    let lookedAt = 0
    for (const [position, account] of log.newest(cursor === undefined ? undefined : Number(cursor))) {
      if (items.length === limit || lookedAt++ === mostLookedAt) return { items, nextCursor: String(position + 1) }
      if (matches(account, question)) items.push(decode(account))
    }
    return { items }
  })
}
