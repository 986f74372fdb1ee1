/** Turns bytes of UTF-8 into lines without their ends. Holds at most `maxLength` characters: a longer line comes in pieces. */
export interface LineSplitter {
  /** The lines that these bytes complete. */
  readonly push: (bytes: Uint8Array) => ReadonlyArray<string>
  /** What is left without an end. */
  readonly end: () => ReadonlyArray<string>
}

export const make = (maxLength = 65_536): LineSplitter => {
  const decoder = new TextDecoder()
  let rest = ""
  const split = (text: string) => {
    const lines: Array<string> = []
    const parts = (rest + text).split("\n")
    rest = parts.pop() ?? ""
    for (const part of parts) lines.push(...pieces(part.endsWith("\r") ? part.slice(0, -1) : part, maxLength))
    if (rest.length > maxLength) {
      const [last = "", ...first] = pieces(rest, maxLength).reverse()
      lines.push(...first.reverse())
      rest = last
    }
    return lines
  }
  return {
    push: (bytes) => split(decoder.decode(bytes, { stream: true })),
    end: () => {
      const lines = split(decoder.decode())
      const last = rest
      rest = ""
      return last === "" ? lines : [...lines, last]
    }
  }
}

const pieces = (line: string, maxLength: number) => {
  if (line.length <= maxLength) return [line]
  return Array.from({ length: Math.ceil(line.length / maxLength) }, (_, i) =>
    line.slice(i * maxLength, (i + 1) * maxLength)
  )
}
