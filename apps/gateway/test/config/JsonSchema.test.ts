import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Ajv } from "ajv"
import { Result } from "effect"
import { parse } from "yaml"
import * as JsonSchema from "../../src/config/JsonSchema.ts"
import { show } from "../../src/config/Mistake.ts"
import { example, full, mistakes, read } from "./documents.ts"

const docs = (name: string) => readFileSync(fileURLToPath(new URL(`../../../../docs/${name}`, import.meta.url)), "utf8")
const schema = JsonSchema.make()
const validate = new Ajv({ strict: false, allErrors: true }).compile(schema)

describe("the JSON Schema of a configuration file", () => {
  it("is the one in docs; `bun scripts/schema.ts` writes it", () => {
    assert.deepStrictEqual(JSON.parse(docs("opsbuddy.schema.json")), schema)
  })

  it("is valid itself, in draft 7", () => {
    assert.isTrue(new Ajv().validateSchema(schema))
  })

  it("takes what decodes", () => {
    for (const text of ["{}", example, full]) {
      assert.isTrue(Result.isSuccess(read(text)))
      assert.isTrue(validate(parse(text)), JSON.stringify(validate.errors))
    }
  })

  it("refuses what does not, as far as it can say it", () => {
    const route = (settings: string) => `routes: [{ name: r, ${settings} }]`
    const upstream = (settings: string) => `upstreams: { a: { targets: ["http://a:1"], ${settings} } }`
    for (const text of [
      "5",
      "rutes: []",
      "routes: {}",
      "upstreams: { a: {} }",
      "upstreams: { 'a b': { targets: ['http://a:1'] } }",
      "upstreams: { a: { targets: [] } }",
      "upstreams: { a: { targets: ['ftp://a:1'] } }",
      "upstreams: { a: { targets: ['dns://a'] } }",
      "upstreams: { a: { targets: [{ weight: 1 }] } }",
      upstream("balance: random"),
      upstream("timeouts: { attempt: 5 }"),
      upstream("timeouts: { attempt: 5x }"),
      upstream("timeouts: { totl: 5s }"),
      upstream("retry: { attempts: 0 }"),
      upstream("retry: { budget: 1.1 }"),
      upstream("circuit: { failureRate: { threshold: 0 } }"),
      upstream("health: on"),
      upstream("concurrency: { max: 1.5 }"),
      "routes: [{}]",
      "routes: [{ disabled: true }]",
      "routes: [{ disabled: false, name: files }]",
      route("path: /a"),
      route("upstream: files"),
      route("path: x, upstream: files"),
      route("path: /x/, upstream: files"),
      route("path: /a, exact: /b, upstream: files"),
      route("path: /a, upstream: files, redirect: { to: /b }"),
      route("path: /a, upstream: files, stripPrefix: true, replacePrefix: /b"),
      route("path: /a, redirect: { to: /b, status: 200 }"),
      route("path: /a, upstream: files, limit: { burst: 1 }"),
      route("path: /a, upstream: files, limit: { rate: 1/d }"),
      route("path: /a, upstream: files, maxBody: 10"),
      route("path: /a, upstream: files, methods: [get]"),
      route("path: /a, upstream: files, cors: {}"),
      "trustedProxies: [10.0.0.1]",
      "rateLimits: { whenGone: block }"
    ]) {
      assert.isTrue(Result.isFailure(read(text)), `decodes: ${text}`)
      assert.isFalse(validate(parse(text)), `the schema takes it: ${text}`)
    }
  })
})

describe("docs/configuration.md", () => {
  const page = docs("configuration.md")
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text)

  it("has examples that are valid", () => {
    assert.isAtLeast(blocks.length, 5)
    for (const text of blocks) {
      assert.deepStrictEqual(mistakes(text).map(show), [], text)
      assert.isTrue(validate(parse(text)), `${JSON.stringify(validate.errors)} in\n${text}`)
    }
  })

  it("names every setting, and each default", () => {
    const settings = (value: unknown): ReadonlyArray<readonly [name: string, fallback: unknown]> => {
      if (typeof value !== "object" || value === null) return []
      const own =
        "properties" in value && typeof value.properties === "object" ? Object.entries(value.properties ?? {}) : []
      return [
        ...own.map(([name, property]) => [name, property.default] as const),
        ...Object.values(value).flatMap(settings)
      ]
    }
    const all = settings(schema)
    assert.isAtLeast(new Set(all.map(([name]) => name)).size, 60)
    for (const [name, fallback] of all) {
      assert.include(page, `\`${name}\``, name)
      if (typeof fallback === "string" || typeof fallback === "number") {
        const row = page.split("\n").filter((line) => line.startsWith("|") && line.includes(`\`${name}\``))
        assert.isTrue(
          row.some((line) => line.includes(`\`${fallback}\``)),
          `${name}: ${fallback}`
        )
      }
    }
  })
})
