import { DateTime, Effect, Schema, SchemaIssue, SchemaTransformation } from "effect"

/** https://www.rfc-editor.org/rfc/rfc3339#section-5.6, with up to nine digits of a second. */
const dateTime =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](?:[01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(?:\.(\d{1,9}))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))$/

const daysOf = (year: number, month: number) => {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** The last millisecond that four digits of a year can show in UTC. */
const lastMillis = Date.parse("9999-12-31T23:59:59.999Z")
const firstMillis = Date.parse("0000-01-01T00:00:00.000Z")

const millisPerDay = 86_400_000

/**
 * Milliseconds since 1970 of an RFC 3339 date and time with its offset from UTC, in the years 0000 to 9999; `undefined` for
 * anything else, such as a day that the month does not have. Digits beyond the millisecond are cut. A leap second, which only the
 * last second of a day in UTC can be, is the first of the next day.
 */
export const parseTimestamp = (text: string): number | undefined => {
  const parts = dateTime.exec(text)
  if (parts === null) return undefined
  const [, year, month, day, second, fraction = "", sign, hours, minutes] = parts
  if (Number(month) < 1 || Number(month) > 12) return undefined
  if (Number(day) < 1 || Number(day) > daysOf(Number(year), Number(month))) return undefined
  const isLeap = second === "60"
  const whole = Date.parse(`${text.slice(0, 10)}T${text.slice(11, 17)}${isLeap ? "59" : second}Z`)
  const offset = sign === undefined ? 0 : (Number(hours) * 60 + Number(minutes)) * (sign === "-" ? 60_000 : -60_000)
  const millis = whole + offset + (isLeap ? 1000 : Number(fraction.slice(0, 3).padEnd(3, "0")))
  if (isLeap && millis % millisPerDay !== 0) return undefined
  return millis < firstMillis || millis > lastMillis ? undefined : millis
}

/** What is shown of a text that is no time. */
const maxShown = 64

const misfit = (text: string) => {
  const shown = JSON.stringify(text.length > maxShown ? `${text.slice(0, maxShown)}...` : text)
  // In a query a plus is a space.
  const hint = / \d\d:\d\d$/.test(text) ? "; write %2B for a + in a query" : ""
  return `Expected an RFC 3339 time such as 2026-01-31T09:30:00Z, got ${shown}${hint}`
}

/**
 * RFC 3339, written in UTC and to the millisecond. Read with `Z` or any offset and up to nine digits of a second, of which those
 * beyond the millisecond are cut.
 */
export const Timestamp: Schema.DateTimeUtcFromString = Schema.String.annotate({
  expected: "an RFC 3339 time",
  format: "date-time"
}).pipe(
  Schema.decodeTo(
    Schema.DateTimeUtc,
    SchemaTransformation.transformEffect<DateTime.Utc, string>({
      decode: (text, options) => {
        const millis = parseTimestamp(text)
        return millis === undefined
          ? Effect.fail(new SchemaIssue.InvalidValue({ message: misfit(text) }, text, options))
          : Effect.succeed(DateTime.makeUnsafe(millis))
      },
      encode: (time) => Effect.succeed(DateTime.formatIso(time))
    })
  )
)
