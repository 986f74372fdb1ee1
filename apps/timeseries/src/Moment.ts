/** Times are nanoseconds since 1970 as `bigint`; durations are nanoseconds. */

const nanoseconds = {
  ns: 1n,
  us: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
  w: 604_800_000_000_000n
} as const

const isUnit = (unit: string): unit is keyof typeof nanoseconds => Object.hasOwn(nanoseconds, unit)

const second = 1_000_000_000n

/** Times that can be stored are from `earliest` on and before `latest`. */
export const earliest = -(2n ** 63n) + 1n
export const latest = 2n ** 63n - 1n

/** Reads a duration such as `5m`; `undefined` when it is none. */
export const parseDuration = (text: string): bigint | undefined => {
  const [, digits, unit] = /^(\d{1,18})([a-z]{1,2})$/.exec(text) ?? []
  if (digits === undefined || unit === undefined || !isUnit(unit)) return undefined
  return BigInt(digits) * nanoseconds[unit]
}

/**
 * Reads `now`, a duration before or after now such as `-1h`, integer nanoseconds, or RFC 3339 with up to nine digits of a
 * second; `undefined` when it is none of them. What lies outside the times that can be stored is moved to the nearest of them.
 */
export const parseMoment = (text: string, now: bigint): bigint | undefined => {
  if (text === "now") return now
  if (/^-?\d{1,30}$/.test(text)) return clamp(BigInt(text))
  const sign = text[0]
  if (sign === "-" || sign === "+") {
    const duration = parseDuration(text.slice(1))
    return duration === undefined ? undefined : clamp(sign === "-" ? now - duration : now + duration)
  }
  const time = parseRfc3339(text)
  return time === undefined ? undefined : clamp(time)
}

const clamp = (time: bigint) => (time < earliest ? earliest : time > latest ? latest : time)

const rfc3339 =
  /^(\d{4}-(?:0[1-9]|1[0-2])-\d{2})[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))$/

const parseRfc3339 = (text: string): bigint | undefined => {
  const match = rfc3339.exec(text)
  if (match === null) return undefined
  const [, day, time, fraction = "", sign, hours, minutes] = match
  const date = new Date(`${day}T${time}Z`)
  // The 31st of a shorter month is taken for a day of the next one, or refused, depending on the engine.
  if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== day) return undefined
  const offset = sign === undefined ? 0 : (Number(hours) * 60 + Number(minutes)) * (sign === "+" ? 1 : -1)
  return (BigInt(date.getTime() / 1000) - BigInt(offset * 60)) * second + BigInt(fraction.padEnd(9, "0"))
}

/** RFC 3339 in UTC with as many digits of a second as are needed, up to nine. */
export const format = (time: bigint): string => {
  const rest = ((time % second) + second) % second
  const date = new Date(Number((time - rest) / second) * 1000).toISOString().slice(0, 19)
  return rest === 0n ? `${date}Z` : `${date}.${String(rest).padStart(9, "0").replace(/0+$/, "")}Z`
}
