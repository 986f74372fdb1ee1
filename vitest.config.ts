import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

/**
 * By `--mode`: without one, every test beside the code; `e2e`, real processes started the way a user does; `long`, what
 * takes minutes, named `*.long.test.ts`. In the latter two one file runs at a time. Globs are relative to `--dir`.
 */
const modes = {
  test: { include: ["**/*.test.ts"], exclude: ["**/*.long.test.ts", "test/e2e/**"], testTimeout: 30_000 },
  e2e: { include: ["test/e2e/**/*.test.ts"], exclude: ["**/*.long.test.ts"], testTimeout: 120_000 },
  long: { include: ["**/*.long.test.ts"], exclude: [], testTimeout: 600_000 }
}

export default defineConfig(({ mode }) => {
  const { include, exclude, testTimeout } = mode === "e2e" || mode === "long" ? modes[mode] : modes.test
  return {
    test: {
      include,
      exclude: ["**/node_modules/**", ...exclude],
      fileParallelism: mode === "test",
      // Files of one worker share their modules: to load effect for each anew takes longer than most of them do.
      isolate: mode !== "test",
      // Many wait for processes and clocks; by default two processors would have one worker.
      maxWorkers: Math.max(2, availableParallelism()),
      silent: "passed-only",
      testTimeout,
      hookTimeout: Math.max(30_000, testTimeout),
      coverage: {
        provider: "v8",
        include: ["packages/*/src/**", "apps/*/src/**"],
        reporter: ["text-summary", "html"],
        reportOnFailure: true,
        reportsDirectory: "coverage"
      }
    }
  }
})
