import { Cause, Clock, Duration, Effect, Exit } from "effect"

/** When one of several targets is left out for a while, because it fails where the others may not. */
export interface OutlierPolicy {
  /** Failures in a row that eject a target. */
  readonly consecutiveFailures: number
  /** The first ejection's time; the n-th takes n times as long. */
  readonly ejectFor: Duration.Duration
  /** No ejection takes longer. A target that is in for this long starts again from the first. */
  readonly maxEjectFor: Duration.Duration
  /** The largest share (0 to 1) of the targets that are ejected at once, rounded down to whole targets. */
  readonly maxEjected: number
}

export const defaultPolicy: OutlierPolicy = {
  consecutiveFailures: 5,
  ejectFor: Duration.seconds(10),
  maxEjectFor: Duration.minutes(5),
  maxEjected: 0.5
}

export interface Ejection {
  /** Milliseconds since the epoch. */
  readonly until: number
  /** Which ejection of this target it is, from 1. */
  readonly times: number
}

/** Watches the calls to single targets, which are told apart by identity and forgotten with their last reference. */
export interface Outliers<T extends object> {
  readonly succeeded: (target: T) => void
  /** Answers with the ejection that this failure caused, if any: never more than the policy's share of `all` at once. */
  readonly failed: (target: T, all: ReadonlyArray<T>, now: number) => Ejection | undefined
  /** `undefined` once its time is over. */
  readonly ejection: (target: T, now: number) => Ejection | undefined
  /** Takes the target back now, as one that never failed. */
  readonly restore: (target: T) => void
  /** Runs a call to the target and counts how it went; an interrupted call counts for nothing. */
  readonly guard: (
    target: T,
    all: ReadonlyArray<T>
  ) => <A, E, R>(call: Effect.Effect<A, E, R>, isFailure: (exit: Exit.Exit<A, E>) => boolean) => Effect.Effect<A, E, R>
}

interface Account {
  consecutiveFailures: number
  ejection: Ejection | undefined
}

export const make = <T extends object>(policy: OutlierPolicy = defaultPolicy): Outliers<T> => {
  const ejectForMillis = Duration.toMillis(policy.ejectFor)
  const maxEjectForMillis = Duration.toMillis(policy.maxEjectFor)
  const accounts = new WeakMap<T, Account>()

  const ejection = (target: T, now: number): Ejection | undefined => {
    const last = accounts.get(target)?.ejection
    return last !== undefined && now < last.until ? last : undefined
  }

  const accountOf = (target: T): Account => {
    const known = accounts.get(target)
    if (known !== undefined) return known
    const account: Account = { consecutiveFailures: 0, ejection: undefined }
    accounts.set(target, account)
    return account
  }

  const succeeded = (target: T) => {
    const account = accounts.get(target)
    if (account !== undefined) account.consecutiveFailures = 0
  }

  const failed = (target: T, all: ReadonlyArray<T>, now: number): Ejection | undefined => {
    const account = accountOf(target)
    // Calls that were under way when it was ejected tell nothing new.
    if (ejection(target, now) !== undefined) return undefined
    account.consecutiveFailures++
    if (account.consecutiveFailures < policy.consecutiveFailures) return undefined
    const ejected = all.filter((other) => ejection(other, now) !== undefined).length
    if (ejected + 1 > Math.floor(policy.maxEjected * all.length)) return undefined
    const last = account.ejection
    const times = last === undefined || now - last.until >= maxEjectForMillis ? 1 : last.times + 1
    account.consecutiveFailures = 0
    account.ejection = { until: now + Math.min(times * ejectForMillis, maxEjectForMillis), times }
    return account.ejection
  }

  return {
    succeeded,
    failed,
    ejection,
    restore: (target) => accounts.delete(target),
    guard: (target, all) => (call, isFailure) =>
      Effect.onExit(call, (exit) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return
          if (isFailure(exit)) failed(target, all, now)
          else succeeded(target)
        })
      )
  }
}
