import { writeFileSync } from "node:fs"
import type { SerializedError } from "vitest"
import type { Reporter, TestModule } from "vitest/node"
import type { RunResults } from "./results.ts"

/**
 * Writes the `RunResults` of a vitest run as JSON to the file that `OPSBUDDY_TEST_RESULTS` names. vitest's own JSON has
 * no reasons of skipped tests, and does not count a file that fails to load or a hook that fails.
 */
export default class ResultsReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<SerializedError>): void {
    const path = process.env.OPSBUDDY_TEST_RESULTS
    if (path === undefined) throw new Error("OPSBUDDY_TEST_RESULTS names no file")
    const results: RunResults = { passed: 0, failed: unhandledErrors.length, skipped: [] }
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === "passed") results.passed++
        else if (result.state === "skipped") {
          results.skipped.push({ name: `${module.relativeModuleId} > ${test.fullName}`, reason: result.note })
        } else if (result.state === "failed") results.failed++
      }
      const suites = [module, ...module.children.allSuites()]
      results.failed += suites.filter((suite) => suite.errors().length > 0).length
      // A module that never finished has lost its worker.
      if (module.state() === "pending" || module.state() === "queued") results.failed++
    }
    writeFileSync(path, JSON.stringify(results))
  }
}
