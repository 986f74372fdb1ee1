/**
 * Calls `send` at fixed times, `perSecond` of them for `seconds`, however long the answers take, and waits for them
 * 10 s longer. A latency is the milliseconds from the time that a request was due, not from the time that it got its turn: a server
 * that stalls is charged for every request that had to wait for it. Sorted; what fails or does not
 * come is left out and counted.
 */
export const openLoop = async (
  options: { readonly perSecond: number; readonly seconds: number },
  send: (index: number) => Promise<void>
) => {
  const total = Math.round(options.perSecond * options.seconds)
  const latencies: Array<number> = []
  const answers: Array<Promise<void>> = []
  const sendAt = async (index: number, due: number) => {
    try {
      await send(index)
      latencies.push(performance.now() - due)
    } catch {
      // It is missing among the latencies.
    }
  }
  const begin = performance.now()
  for (let next = 0; next < total; ) {
    const due = begin + (next * 1000) / options.perSecond
    if (performance.now() >= due) answers.push(sendAt(next++, due))
    // Timers are no finer than a millisecond; this looks at the clock again as soon as answers have been read.
    else await new Promise(setImmediate)
  }
  await Promise.race([Promise.all(answers), Bun.sleep(10_000)])
  return { latencies: Float64Array.from(latencies).sort(), failed: total - latencies.length }
}
