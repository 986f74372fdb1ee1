/** Something that waits for a moment, in milliseconds of the monotonic clock. */
export interface Waiting {
  readonly dueAt: number
  /** The ticker's own: where it is, or -1. */
  slot: number
  /** The moment has come. It waits on, unless it is removed, and may have set itself another moment. */
  readonly due: (now: number) => void
}

/** Times out what nearly always ends before: to wait and to stop waiting costs next to nothing, unlike a timer of its own. */
export interface Ticker {
  readonly add: (waiting: Waiting) => void
  readonly remove: (waiting: Waiting) => void
}

/** Ticks without anything to wait for, after which the ticker stops until there is. */
const idleTicks = 100

/** `interval` is how late something may be, in milliseconds. */
export const make = (interval: number): Ticker => {
  // Not a `Set`: what has left one hangs on to what came after it until the next full garbage collection.
  const all: Array<Waiting> = []
  let timer: ReturnType<typeof setInterval> | undefined
  let idle = 0

  const remove = (waiting: Waiting) => {
    const { slot } = waiting
    if (slot === -1) return
    waiting.slot = -1
    const last = all.pop()
    if (last === undefined || last === waiting) return
    all[slot] = last
    last.slot = slot
  }

  const tick = () => {
    if (all.length > 0) idle = 0
    else if (++idle === idleTicks) {
      clearInterval(timer)
      timer = undefined
      idle = 0
    }
    const now = performance.now()
    // From the end, because what is removed is replaced by the last one, which has been looked at then.
    for (let slot = all.length - 1; slot >= 0; slot--) {
      const waiting = all[slot]
      if (waiting !== undefined && now >= waiting.dueAt) waiting.due(now)
    }
  }

  return {
    add: (waiting) => {
      waiting.slot = all.push(waiting) - 1
      timer ??= setInterval(tick, interval)
    },
    remove
  }
}
