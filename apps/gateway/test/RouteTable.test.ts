import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as RouteTable from "../src/RouteTable.ts"

const route = (path: `/${string}`): RouteTable.Route => ({ name: path, path, upstream: "shop" })

/** The definition, tried out on every route: a route matches its own path and all below it, and the longest wins. */
const naive = (routes: ReadonlyArray<RouteTable.Route>, path: string) =>
  routes
    .filter((candidate) => path === candidate.path || path.startsWith(`${candidate.path}/`))
    .sort((a, b) => b.path.length - a.path.length)[0]

/** Few letters, so that paths often are, begin or nearly begin others. */
const Path = Schema.Array(Schema.Literals(["a", "b", "ab", ""])).check(Schema.isMaxLength(4))
const Paths = Schema.Array(Path).check(Schema.isMaxLength(6))

describe("RouteTable", () => {
  it.prop("finds what the definition finds", { paths: Paths, path: Path }, ({ path, paths }) => {
    const distinct = new Set(paths.filter((segments) => segments.length > 0).map((segments) => segments.join("/")))
    const routes = [...distinct].map((text) => route(`/${text}`))
    const asked = `/${path.join("/")}`
    assert.strictEqual(RouteTable.make(routes)(asked)?.path, naive(routes, asked)?.path)
  })

  it("does not take a path for one below a route that it only begins like", () => {
    const table = RouteTable.make(RouteTable.builtIn)
    assert.strictEqual(table("/api/files")?.upstream, "files")
    assert.strictEqual(table("/api/files/1/metadata")?.upstream, "files")
    assert.strictEqual(table("/api/utils/system/info")?.upstream, "utility")
    for (const path of ["/api/filesystem", "/api", "/", "//api/files", "/API/files", ""]) {
      assert.isUndefined(table(path), path)
    }
  })

  it("prefers the longer of two routes, in whatever order they are written", () => {
    const routes = [route("/a/b"), route("/a"), route("/a/b/c/d")]
    for (const order of [routes, routes.toReversed()]) {
      const table = RouteTable.make(order)
      assert.deepStrictEqual(
        ["/a/x", "/a/b", "/a/b/c", "/a/b/c/d/e"].map((path) => table(path)?.path),
        ["/a", "/a/b", "/a/b", "/a/b/c/d"]
      )
    }
  })
})

describe("isAmbiguous", () => {
  const ambiguous = ["/a/../b", "/a/./b", "/a/..", "/a/.", "/a/%2e%2E/b", "/a%2Fb", "/a%5cb", "/a\\b", "/.."]
  for (const path of ambiguous) {
    it(`refuses ${path}`, () => assert.isTrue(RouteTable.isAmbiguous(path)))
  }
  for (const path of ["/a/..b/c..", "/a/.hidden", "/a/...", "/a.b", "/a//b", "/a%20b", "/a/%252e%252e"]) {
    it(`lets ${path} pass`, () => assert.isFalse(RouteTable.isAmbiguous(path)))
  }

  it.prop(
    "refuses every path that a URL parser would change into another",
    {
      path: Schema.Array(Schema.Literals(["a", ".", "..", "%2e", "%2E.", "", "\\", "b.c"])).check(Schema.isMaxLength(5))
    },
    ({ path }) => {
      const text = `/${path.join("/")}`
      if (RouteTable.isAmbiguous(text)) return
      assert.strictEqual(new URL(`http://host${text}`).pathname, text)
    }
  )
})
