import type { Upstream } from "./ConfigDocument.ts"
import { atMost, faultIn, type Item, unknownDisabled } from "./Item.ts"
import { get } from "./Located.ts"
import type { Fault } from "./Mistake.ts"

/** What requests that the gateway answers itself are recorded under. */
const reserved = ["gateway"]

/** What is wrong with an upstream although each of its values is well formed. */
export const upstreamFaults = (item: Item<Upstream>, builtIn: ReadonlyArray<string>): ReadonlyArray<Fault> => {
  const { disabled, filled, name, written } = item
  const fault = faultIn(item)
  const faults: Array<Fault> = []
  if (reserved.includes(name)) faults.push(fault([], "is a name that the gateway uses itself", "key"))
  if (written.kind === "map" && get(written, "targets") === undefined) {
    if (!disabled) faults.push(fault(["targets"], "is required"))
    else if (!builtIn.includes(name)) faults.push(fault([], unknownDisabled("upstream", builtIn), "key"))
  }
  if (filled === undefined) return faults
  const urls = filled.targets.map(({ url }) => url.toLowerCase())
  urls.forEach((url, index) => {
    const first = urls.indexOf(url)
    if (first < index) faults.push(fault(["targets", index], `is targets[${first}] again`))
  })
  const { failureRate } = filled.circuit
  if (failureRate !== undefined && failureRate.minimumCalls > failureRate.calls) {
    faults.push(
      fault(["circuit", "failureRate", "minimumCalls"], `must be at most calls, which is ${failureRate.calls}`)
    )
  }
  const { backoff } = filled.retry
  const { ejectFor, maxEjectFor } = filled.outliers
  return [
    ...faults,
    ...atMost(item, ["timeouts"], ["attempt", filled.timeouts.attempt], ["total", filled.timeouts.total]),
    ...atMost(item, ["retry", "backoff"], ["base", backoff.base], ["max", backoff.max]),
    ...atMost(item, ["outliers"], ["ejectFor", ejectFor], ["maxEjectFor", maxEjectFor])
  ]
}
