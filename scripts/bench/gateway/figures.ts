/** The middle of the values; of an even number of them the mean of the two. */
export const median = (values: ReadonlyArray<number>) => {
  const sorted = values.toSorted((a, b) => a - b)
  return (percentile(sorted, 0.5) + (sorted[Math.floor(sorted.length / 2)] ?? Number.NaN)) / 2
}

/** Of sorted values, by the nearest rank. */
export const percentile = (sorted: ArrayLike<number>, at: number) =>
  sorted[Math.max(0, Math.ceil(at * sorted.length) - 1)] ?? Number.NaN

/** The median, and the least and the most that was measured. */
export const spread = (values: ReadonlyArray<number>, digits: number) =>
  values.length === 0
    ? "-"
    : values.length === 1
      ? median(values).toFixed(digits)
      : `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}..${Math.max(...values).toFixed(digits)})`

/** How far ratios are from 1 in percent; `none` where 1 is within their spread, so that the difference may be chance. */
export const difference = (ratios: ReadonlyArray<number>) =>
  ratios.length < 2 || (Math.min(...ratios) <= 1 && Math.max(...ratios) >= 1)
    ? "none"
    : `${median(ratios) >= 1 ? "+" : ""}${((median(ratios) - 1) * 100).toFixed(0)} %`

/** Prints rows under their headings, the first column to the left and all others to the right. */
export const table = (title: string, headings: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) => {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? "").length))
  )
  const line = (cells: ReadonlyArray<string>) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
  console.log(`\n${title}\n`)
  for (const row of [headings, ...rows]) console.log(line(row).trimEnd())
}
