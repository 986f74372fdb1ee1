/** What keeps a browser from guessing types, framing pages and telling other sites where its user was. */
export const all: ReadonlyArray<readonly [name: string, value: string]> = [
  ["x-content-type-options", "nosniff"],
  ["x-frame-options", "DENY"],
  ["referrer-policy", "strict-origin-when-cross-origin"]
]

const names = new Set(all.map(([name]) => name))

/** Whether it is one of these, and so gives way to what the upstream has set. */
export const isOne = (name: string) => names.has(name)
