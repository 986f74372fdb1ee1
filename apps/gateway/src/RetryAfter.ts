/** `Retry-After` in seconds (RFC 9110, section 10.2.3) as milliseconds; a date counts as none, as clocks differ. */
export const retryAfterMillis = (value: string | null | undefined): number | undefined => {
  if (value === null || value === undefined || !/^\d{1,6}$/.test(value.trim())) return undefined
  return Number(value) * 1000
}
