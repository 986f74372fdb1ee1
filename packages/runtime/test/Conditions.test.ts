import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect } from "effect"
import { Headers } from "effect/http"
import * as Conditions from "../src/Conditions.ts"

/** What is there: version 2, changed on Wednesday, 7 January 2026, at 10:00:00.5. */
const present: Conditions.Representation = {
  etag: '"2"',
  modifiedAt: DateTime.makeUnsafe("2026-01-07T10:00:00.500Z")
}
const same = "Wed, 07 Jan 2026 10:00:00 GMT"
const before = "Wed, 07 Jan 2026 09:59:59 GMT"
const after = "Wed, 07 Jan 2026 10:00:01 GMT"

const verdict = (method: string, headers: Record<string, string>, there: Conditions.Representation | undefined) =>
  Effect.map(Conditions.fromHeaders(method, Headers.fromInput(headers)), ({ check }) => check(there))

type Row = readonly [headers: Record<string, string>, get: Conditions.Verdict, put: Conditions.Verdict]

const [proceed, failed, notModified] = ["proceed", "failed", "not-modified"] as const

/** https://www.rfc-editor.org/rfc/rfc9110#section-13, where there is something. */
const there: ReadonlyArray<Row> = [
  [{}, proceed, proceed],
  // Strong comparison (13.1.1).
  [{ "if-match": '"2"' }, proceed, proceed],
  [{ "if-match": '"1"' }, failed, failed],
  [{ "if-match": 'W/"2"' }, failed, failed],
  [{ "if-match": '"1", "2"' }, proceed, proceed],
  [{ "if-match": '"1","2","3"' }, proceed, proceed],
  [{ "if-match": 'W/"2", "2"' }, proceed, proceed],
  [{ "if-match": ', ,"2",' }, proceed, proceed],
  [{ "if-match": '\t"2" \t' }, proceed, proceed],
  [{ "if-match": '"1,2"' }, failed, failed],
  [{ "if-match": '"", "2"' }, proceed, proceed],
  [{ "if-match": "*" }, proceed, proceed],
  [{ "if-match": " * " }, proceed, proceed],
  // Weak comparison (13.1.2).
  [{ "if-none-match": '"2"' }, notModified, failed],
  [{ "if-none-match": 'W/"2"' }, notModified, failed],
  [{ "if-none-match": '"1", W/"2"' }, notModified, failed],
  [{ "if-none-match": '"1"' }, proceed, proceed],
  [{ "if-none-match": '"1,2"' }, proceed, proceed],
  [{ "if-none-match": "*" }, notModified, failed],
  // Whole seconds, because dates have no more (13.1.3, 13.1.4).
  [{ "if-modified-since": same }, notModified, proceed],
  [{ "if-modified-since": after }, notModified, proceed],
  [{ "if-modified-since": before }, proceed, proceed],
  [{ "if-unmodified-since": same }, proceed, proceed],
  [{ "if-unmodified-since": after }, proceed, proceed],
  [{ "if-unmodified-since": before }, failed, failed],
  // The obsolete forms of a date (5.6.7); what is no date is ignored.
  [{ "if-unmodified-since": "Wednesday, 07-Jan-26 09:59:59 GMT" }, failed, failed],
  [{ "if-unmodified-since": "Wed Jan  7 09:59:59 2026" }, failed, failed],
  [{ "if-unmodified-since": "Wed Jan  7 10:00:00 2026" }, proceed, proceed],
  [{ "if-unmodified-since": "2026-01-07T09:59:59Z" }, proceed, proceed],
  [{ "if-unmodified-since": "yesterday" }, proceed, proceed],
  [{ "if-modified-since": "0" }, proceed, proceed],
  // Precedence (13.2.2): tags go before dates, If-Match before If-None-Match.
  [{ "if-match": '"2"', "if-unmodified-since": before }, proceed, proceed],
  [{ "if-match": '"1"', "if-unmodified-since": after }, failed, failed],
  [{ "if-none-match": '"1"', "if-modified-since": after }, proceed, proceed],
  [{ "if-none-match": '"2"', "if-modified-since": before }, notModified, failed],
  [{ "if-match": '"2"', "if-none-match": '"2"' }, notModified, failed],
  [{ "if-match": '"1"', "if-none-match": '"2"' }, failed, failed],
  [{ "if-unmodified-since": before, "if-none-match": '"2"' }, failed, failed],
  [{ "if-unmodified-since": same, "if-modified-since": same }, notModified, proceed]
]

/** Where there is nothing. */
const nothing: ReadonlyArray<Row> = [
  [{}, proceed, proceed],
  [{ "if-match": '"2"' }, failed, failed],
  [{ "if-match": "*" }, failed, failed],
  [{ "if-none-match": '"2"' }, proceed, proceed],
  [{ "if-none-match": "*" }, proceed, proceed],
  [{ "if-modified-since": same }, proceed, proceed],
  [{ "if-unmodified-since": same }, failed, failed]
]

const malformed = [
  "",
  " ",
  ",",
  "2",
  "'2'",
  '"2',
  '2"',
  '"2" "3"',
  '"2";',
  "W/2",
  'w/"2"',
  'W/ "2"',
  '*, "2"',
  '"2", *',
  '"a b"'
]

describe("conditions of a request", () => {
  for (const [rows, what, representation] of [
    [there, "something", present],
    [nothing, "nothing", undefined]
  ] as const) {
    for (const [headers, get, put] of rows) {
      it.effect(`are checked where there is ${what}: ${JSON.stringify(headers)}`, () =>
        Effect.gen(function* () {
          for (const method of ["GET", "HEAD"]) {
            assert.strictEqual(yield* verdict(method, headers, representation), get, method)
          }
          for (const method of ["PUT", "DELETE", "PATCH", "POST"]) {
            assert.strictEqual(yield* verdict(method, headers, representation), put, method)
          }
        })
      )
    }
  }

  it.effect("compare a tag with a comma as a whole", () =>
    Effect.gen(function* () {
      const comma: Conditions.Representation = { etag: '"a,b"' }
      assert.strictEqual(yield* verdict("PUT", { "if-match": '"a", "a,b"' }, comma), proceed)
      assert.strictEqual(yield* verdict("PUT", { "if-match": '"a,b,c"' }, comma), failed)
    })
  )

  it.effect("of dates hold where nobody knows when it was changed", () =>
    Effect.gen(function* () {
      const undated: Conditions.Representation = { etag: '"2"' }
      assert.strictEqual(yield* verdict("PUT", { "if-unmodified-since": before }, undated), proceed)
      assert.strictEqual(yield* verdict("GET", { "if-modified-since": after }, undated), proceed)
    })
  )

  it.effect("are refused where a list of tags is malformed, naming the header", () =>
    Effect.gen(function* () {
      for (const header of ["if-match", "if-none-match"]) {
        for (const value of malformed) {
          const problem = yield* Effect.flip(verdict("PUT", { [header]: value }, present))
          assert.strictEqual(problem._tag, "InvalidRequest")
          assert.deepStrictEqual(problem.errors[0]?.path, ["headers", header], value)
          assert.include(problem.detail, `${header}: Expected * or entity tags in quotes, such as "1", got`)
        }
      }
    })
  )
})
