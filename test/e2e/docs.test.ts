import { execFileSync } from "node:child_process"
import { type Browser, chromium } from "playwright-core"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { discard, type System, start } from "./System.ts"

const find = () => {
  try {
    return execFileSync("which", ["chromium"], { encoding: "utf8" }).trim()
  } catch {
    return undefined
  }
}

let system: System
let browser: Browser | undefined

describe("the API pages", () => {
  beforeAll(async () => {
    const executablePath = find()
    if (executablePath !== undefined) {
      browser = await chromium.launch({
        executablePath,
        args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
      })
    }
    system = await start()
  })
  afterAll(async () => {
    await browser?.close()
    await discard(system)
  })

  it("show every domain in a browser that reaches nothing but OpsBuddy", async (context) => {
    if (browser === undefined) {
      assert.notStrictEqual(process.env.OPSBUDDY_REQUIRE_PARTS, "1", "chromium is required and not on the PATH")
      return context.skip("chromium is not on the PATH")
    }
    const page = await browser.newPage()
    const outside: Array<string> = []
    const errors: Array<string> = []
    await page.route("**", (route) => {
      const url = new URL(route.request().url())
      if (url.hostname === "127.0.0.1" || url.protocol === "data:" || url.protocol === "blob:") return route.continue()
      outside.push(url.href)
      return route.abort()
    })
    page.on("pageerror", (error) => errors.push(error.message))
    await page.goto(`${system.url("gateway")}/docs`)
    for (const domain of ["Gateway", "Files", "Utility", "Analytics", "Timeseries"]) {
      await page.locator(`[data-tag="${domain}"]`).waitFor()
    }
    await page.goto(`${system.url("files")}/docs`)
    await page.getByText("/api/files/upload").first().waitFor()
    assert.deepStrictEqual({ outside, errors }, { outside: [], errors: [] })
  })
})
