/** How deep the JSON of a request may be nested; the contract's own bounds are smaller, where it has any. */
export const maxJsonDepth = 200

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d]

/**
 * Whether it is nested deeper. Parsing and checking a million levels takes seconds in which nothing else is answered; looking at the
 * text first takes milliseconds.
 */
export const isTooDeep = (json: string) => {
  let depth = 0
  for (let index = 0; index < json.length; index++) {
    const code = json.charCodeAt(index)
    if (code === quote) index = endOfString(json, index)
    else if (code === openBracket || code === openBrace) {
      if (++depth > maxJsonDepth) return true
    } else if (code === closeBracket || code === closeBrace) depth--
  }
  return false
}

/** Where the string ends that begins at `start`; most of a text is in strings, and `indexOf` is the fastest way through. */
export const endOfString = (json: string, start: number) => {
  let end = json.indexOf('"', start + 1)
  while (end !== -1 && isEscaped(json, end)) end = json.indexOf('"', end + 1)
  return end === -1 ? json.length : end
}

const isEscaped = (json: string, index: number) => {
  let first = index
  while (json.charCodeAt(first - 1) === backslash) first--
  return (index - first) % 2 === 1
}

export const message = `Expected JSON that is nested at most ${maxJsonDepth} deep`
