/** Chooses one of several targets for the next call. Choosing is synchronous and never fails. */
export interface Balance<Target> {
  readonly choose: (targets: readonly [Target, ...Array<Target>]) => Target
}

/** One after the other, also while the list of targets changes between calls. */
export const roundRobin = <Target>(): Balance<Target> => {
  let next = 0
  return {
    choose: (targets) => {
      next = next >= targets.length ? 0 : next
      return targets[next++] ?? targets[0]
    }
  }
}
