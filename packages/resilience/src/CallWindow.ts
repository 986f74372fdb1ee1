/** The outcomes of the last `size` calls. */
export interface CallWindow {
  readonly push: (failed: boolean) => void
  readonly clear: () => void
  readonly calls: () => number
  readonly failures: () => number
}

export const make = (size: number): CallWindow => {
  const failed = new Uint8Array(size)
  let calls = 0
  let failures = 0
  let next = 0
  return {
    push: (failure) => {
      // A slot that was never used holds 0, as one of a success does.
      failures += Number(failure) - (failed[next] ?? 0)
      failed[next] = Number(failure)
      next = (next + 1) % size
      calls = Math.min(calls + 1, size)
    },
    clear: () => {
      failed.fill(0)
      calls = 0
      failures = 0
      next = 0
    },
    calls: () => calls,
    failures: () => failures
  }
}
