import { InvalidRequest } from "@opsbuddy/contract/Problems"
import { DateTime, Effect } from "effect"
import type { Headers } from "effect/http"

/** What is at a path now. `etag` is quoted, and strong: without `W/`. */
export interface Representation {
  readonly etag: string
  readonly modifiedAt?: DateTime.Utc
}

/** `failed` is for a 412, `not-modified` for a 304. */
export type Verdict = "proceed" | "not-modified" | "failed"

/**
 * The conditions of one request. They are to be checked where the change is made, in the same transaction: what was checked before
 * may have changed since. `undefined` means that there is nothing at the path.
 */
export interface Conditions {
  readonly check: (present: Representation | undefined) => Verdict
}

/** What a request without conditions has. */
export const none: Conditions = { check: () => "proceed" }

/** One entity tag of a list, https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3; a tag may contain commas. */
const member = /^[ \t]*(?:(W\/)?("[\x21\x23-\x7e\x80-\u00ff]*"))?[ \t]*(?:,|$)/

type TagList = "*" | ReadonlyArray<{ readonly weak: boolean; readonly tag: string }>

const tagsOf = (headers: Headers.Headers, name: string): Effect.Effect<TagList | undefined, InvalidRequest> => {
  const value = headers[name]
  if (value === undefined) return Effect.succeed(undefined)
  if (value.trim() === "*") return Effect.succeed("*")
  const tags: Array<{ readonly weak: boolean; readonly tag: string }> = []
  for (let rest = value; rest !== ""; ) {
    const found = member.exec(rest)
    if (found === null) return malformed(name, value)
    const [whole, weak, tag] = found
    if (tag !== undefined) tags.push({ weak: weak !== undefined, tag })
    rest = rest.slice(whole.length)
  }
  return tags.length === 0 ? malformed(name, value) : Effect.succeed(tags)
}

const malformed = (name: string, value: string) => {
  const message = `Expected * or entity tags in quotes, such as "1", got ${value}`
  return Effect.fail(
    new InvalidRequest({ detail: `${name}: ${message}`, errors: [{ path: ["headers", name], message }] })
  )
}

/** The three forms of a date that RFC 9110 has recipients read; anything else is ignored, as it says. */
const httpDate =
  /^(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})$/

const secondsOf = (date: string | undefined) => {
  if (date === undefined || !httpDate.test(date)) return undefined
  const millis = Date.parse(date.endsWith("GMT") ? date : `${date} GMT`)
  return Number.isNaN(millis) ? undefined : Math.floor(millis / 1000)
}

/**
 * Reads `If-Match`, `If-None-Match`, `If-Unmodified-Since` and, of GET and HEAD, `If-Modified-Since`, in the precedence of
 * https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2. Fails where a list of tags is malformed.
 */
export const fromHeaders = Effect.fnUntraced(function* (
  method: string,
  headers: Headers.Headers
): Effect.fn.Return<Conditions, InvalidRequest> {
  const reads = method === "GET" || method === "HEAD"
  const ifMatch = yield* tagsOf(headers, "if-match")
  const ifNoneMatch = yield* tagsOf(headers, "if-none-match")
  const unmodifiedSince = ifMatch === undefined ? secondsOf(headers["if-unmodified-since"]) : undefined
  const modifiedSince = reads && ifNoneMatch === undefined ? secondsOf(headers["if-modified-since"]) : undefined
  const conditions = [ifMatch, ifNoneMatch, unmodifiedSince, modifiedSince]
  if (conditions.every((condition) => condition === undefined)) return none
  return {
    check: (present) => {
      const modified =
        present?.modifiedAt === undefined ? undefined : Math.floor(DateTime.toEpochMillis(present.modifiedAt) / 1000)
      if (ifMatch !== undefined && !matches(ifMatch, present, false)) return "failed"
      if (
        unmodifiedSince !== undefined &&
        (present === undefined || (modified !== undefined && modified > unmodifiedSince))
      )
        return "failed"
      if (ifNoneMatch !== undefined && matches(ifNoneMatch, present, true)) return reads ? "not-modified" : "failed"
      return modifiedSince !== undefined && modified !== undefined && modified <= modifiedSince
        ? "not-modified"
        : "proceed"
    }
  }
})

/** Strong comparison takes no weak tag; weak comparison takes it for a strong one. */
const matches = (list: TagList, present: Representation | undefined, weakly: boolean) =>
  present !== undefined && (list === "*" || list.some(({ tag, weak }) => (weakly || !weak) && tag === present.etag))
