/** The last lines that a child wrote: at most `count` of them, each cut to `maxLength` characters. */
export interface LastLines {
  readonly add: (lines: ReadonlyArray<string>) => void
  readonly all: () => ReadonlyArray<string>
}

export const make = (count = 20, maxLength = 2000): LastLines => {
  let kept: ReadonlyArray<string> = []
  return {
    add: (lines) => {
      kept = [...kept, ...lines.slice(-count).map((line) => line.slice(0, maxLength))].slice(-count)
    },
    all: () => kept
  }
}
