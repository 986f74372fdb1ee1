/** What one run (a check, or one vitest process) came to. */
export interface RunResults {
  passed: number
  failed: number
  skipped: Array<SkippedTest>
}

export interface SkippedTest {
  name: string
  reason?: string | undefined
}

/**
 * The results of a vitest process from what it wrote and its exit code. A process that wrote nothing crashed, and one
 * that says it failed without a failed test did too: both count as one failure.
 */
export const ofProcess = (written: RunResults | undefined, exitCode: number): RunResults => {
  if (written === undefined) return { passed: 0, failed: 1, skipped: [] }
  return exitCode !== 0 && written.failed === 0 ? { ...written, failed: 1 } : written
}

/** Whether any test was carried out: skipped ones were not. */
export const isEmpty = (results: RunResults): boolean => results.passed + results.failed === 0

export const sum = (runs: ReadonlyArray<RunResults>): RunResults => ({
  passed: runs.reduce((total, run) => total + run.passed, 0),
  failed: runs.reduce((total, run) => total + run.failed, 0),
  skipped: runs.flatMap((run) => run.skipped)
})

/** The line that scripts and people read: `12 passed, 0 failed, 1 skipped`. */
export const line = (results: RunResults): string =>
  `${results.passed} passed, ${results.failed} failed, ${results.skipped.length} skipped`
