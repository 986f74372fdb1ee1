import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Route from "../src/Route.ts"
import * as RouteTable from "../src/RouteTable.ts"

type Config = Route.Route["config"]

const route = (path: string, differs: Partial<Config> = {}) => ({
  config: { ...Route.none.config, name: path, path, ...differs }
})

const request = (path: string, differs: Partial<RouteTable.Matched> = {}): RouteTable.Matched => ({
  host: "",
  path,
  method: "GET",
  header: () => undefined,
  ...differs
})

/** What is found: a route's path, the methods that are served in place of the one that is asked for, or nothing. */
const found = (table: RouteTable.RouteTable<ReturnType<typeof route>>, asked: RouteTable.Matched) => {
  const result = table.find(asked)
  return result instanceof RouteTable.MethodMismatch ? result.allow : result?.config.name
}

// Few letters and names, so that paths, hosts and headers often are, begin or nearly begin others.
const few = <S extends Schema.Constraint>(item: S, most: number) => Schema.Array(item).check(Schema.isMaxLength(most))

const Routes = few(
  Schema.Struct({
    host: Schema.UndefinedOr(Schema.Literals(["a.test", "b.a.test", "*.a.test", "*.test"])),
    segments: few(Schema.Literals(["a", "b", "ab"]), 3),
    match: Schema.Literals(["prefix", "exact"]),
    methods: few(Schema.Literals(["GET", "POST", "DELETE"]), 2),
    headers: few(Schema.Tuple([Schema.Literals(["x-a", "x-b"]), Schema.Literals(["1", "2", "*"])]), 2)
  }),
  8
)

/** How a segment is written, and what it means. */
const Segment = Schema.Literals(["a", "%61", "b", "%62", "ab", "a%62", "%2A"])
const meaning = { a: "a", "%61": "a", b: "b", "%62": "b", ab: "ab", "a%62": "ab", "%2A": "%2A" } as const

const Asked = Schema.Struct({
  host: Schema.Literals(["a.test", "A.Test:8080", "b.a.test", "c.b.a.test:1", "x.test", "test", "[::1]:80", ""]),
  segments: few(Segment, 4),
  slash: Schema.Literals(["/", "//", "///"]),
  end: Schema.Literals(["", "/"]),
  method: Schema.Literals(["GET", "HEAD", "POST", "PUT"]),
  headers: Schema.Struct({
    "x-a": Schema.UndefinedOr(Schema.Literals(["1", "2"])),
    "x-b": Schema.UndefinedOr(Schema.Literals(["1", "2"]))
  })
})

/** How closely a route names a host: the longer, the closer; not at all is `undefined`. */
const hostRank = (wanted: string | undefined, host: string) => {
  if (wanted === undefined) return 0
  if (wanted === host) return 1000
  return wanted.startsWith("*.") && host.endsWith(wanted.slice(1)) ? wanted.length : undefined
}

/** The definition, tried out on every route. */
const naive = (
  routes: ReadonlyArray<ReturnType<typeof route>>,
  { end, headers, host, method, segments }: typeof Asked.Type
) => {
  const path = `/${segments.map((segment) => meaning[segment]).join("/")}${segments.length > 0 ? end : ""}`
  const name = host.replace(/:\d+$/, "").toLowerCase()
  const matching = routes.flatMap(({ config }) => {
    const rank = hostRank(config.host, name)
    const below = config.path === "/" ? "/" : `${config.path}/`
    const hasPath = path === config.path || (config.match === "prefix" && path.startsWith(below))
    const hasHeaders = config.headers.every(([key, value]) => {
      const given = key === "x-a" ? headers["x-a"] : headers["x-b"]
      return given !== undefined && (value === "*" || value === given)
    })
    if (rank === undefined || !hasPath || !hasHeaders) return []
    const order = [
      rank,
      config.match === "exact" ? 1 : 0,
      config.path === "/" ? 0 : config.path.length,
      config.headers.length,
      config.methods.length > 0 ? 1 : 0
    ]
    return [{ config, order }]
  })
  matching.sort((a, b) => {
    const first = a.order.findIndex((value, index) => value !== b.order[index])
    return first === -1 ? 0 : (b.order[first] ?? 0) - (a.order[first] ?? 0)
  })
  const serving = matching.find(
    ({ config: { methods } }) =>
      methods.length === 0 || methods.includes(method) || (method === "HEAD" && methods.includes("GET"))
  )
  if (serving !== undefined) return serving.config.name
  if (matching.length === 0) return undefined
  const allow = new Set(matching.flatMap(({ config }) => config.methods))
  return [...allow, ...(allow.has("GET") ? ["HEAD"] : [])].sort()
}

describe("RouteTable", () => {
  it.prop(
    "finds what the definition finds",
    { declared: Routes, asked: Asked },
    ({ asked, declared }) => {
      const routes = declared.map(({ headers, host, match, methods, segments }, index) =>
        route(`/${segments.join("/")}`, { name: String(index), host, match, methods, headers })
      )
      const { end, headers, host, method, segments, slash } = asked
      const path = `${slash}${segments.join(slash)}${segments.length > 0 ? end : ""}`
      const header = (name: string) => (name === "x-a" ? headers["x-a"] : name === "x-b" ? headers["x-b"] : undefined)
      assert.deepStrictEqual(
        found(RouteTable.make(routes), { host, path, method, header }),
        naive(routes, asked),
        `${method} ${host}${path}`
      )
    },
    { arbitrary: { runs: 2000 } }
  )

  it("does not take a path for one below a route that it only begins like", () => {
    const table = RouteTable.make([route("/api/files"), route("/api/utils")])
    assert.strictEqual(found(table, request("/api/files")), "/api/files")
    assert.strictEqual(found(table, request("/api/files/1/metadata")), "/api/files")
    assert.strictEqual(found(table, request("/api/utils/system/info")), "/api/utils")
    for (const path of ["/api/filesystem", "/api", "/", "/API/files", ""]) {
      assert.isUndefined(table.find(request(path)), path)
    }
  })

  it("prefers the longer of two routes, in whatever order they are written", () => {
    const routes = [route("/a/b"), route("/a"), route("/a/b/c/d")]
    for (const order of [routes, routes.toReversed()]) {
      const table = RouteTable.make(order)
      assert.deepStrictEqual(
        ["/a/x", "/a/b", "/a/b/c", "/a/b/c/d/e"].map((path) => found(table, request(path))),
        ["/a", "/a/b", "/a/b", "/a/b/c/d"]
      )
    }
  })

  it("prefers the exact path, the exact host, the more headers and the named method, in this order of weight", () => {
    const host = { host: "a.test" }
    const table = RouteTable.make([
      route("/a", { name: "any" }),
      route("/a", { name: "methods", methods: ["GET"] }),
      route("/a", { name: "header", headers: [["x-a", "1"]] }),
      route("/a", { name: "exact", match: "exact", methods: ["GET"] }),
      route("/", { name: "host", ...host, methods: ["PUT"] })
    ])
    const header = (name: string) => (name === "x-a" ? "1" : undefined)
    assert.deepStrictEqual(
      [
        request("/a/b", { method: "POST" }),
        request("/a/b"),
        request("/a/b", { header }),
        request("/a"),
        request("/a", { method: "PUT", ...host }),
        // Nothing of the host serves GET, so that a route of any host may.
        request("/a", host)
      ].map((asked) => found(table, asked)),
      ["any", "methods", "header", "exact", "host", "exact"]
    )
  })

  it("tells which methods a path serves where no route serves the one that is asked for", () => {
    const table = RouteTable.make([
      route("/a", { methods: ["POST"] }),
      route("/a/b", { methods: ["GET", "DELETE"] }),
      route("/c", { methods: ["PUT"] })
    ])
    assert.deepStrictEqual(found(table, request("/a/b", { method: "PATCH" })), ["DELETE", "GET", "HEAD", "POST"])
    assert.deepStrictEqual(found(table, request("/a", { method: "GET" })), ["POST"])
    assert.deepStrictEqual(found(table, request("/a/b", { method: "POST" })), "/a")
  })
})

describe("comparable", () => {
  for (const [path, same] of [
    ["/%61dmin", "/admin"],
    ["/%41%5a%7e%5F%2D%30", "/AZ~_-0"],
    ["//a///b//", "/a/b/"],
    ["/a%20b%2Fc%3f%25", "/a%20b%2Fc%3f%25"],
    ["/%c3%bc/%zz/%6", "/%c3%bc/%zz/%6"],
    // Decoded once: what is encoded twice stays so.
    ["/%2561", "/%2561"]
  ] as const) {
    it(`takes ${path} for ${same}`, () => assert.strictEqual(RouteTable.comparable(path), same))
  }
})

describe("isAmbiguous", () => {
  const ambiguous = [
    "/a/../b",
    "/a/./b",
    "/a/..",
    "/a/.",
    "/a/%2e%2E/b",
    "/a%2Fb",
    "/a%5cb",
    "/a\\b",
    "/..",
    "/a/..;/b",
    "/a%00",
    "/a#b"
  ]
  for (const path of ambiguous) {
    it(`refuses ${path}`, () => assert.isTrue(RouteTable.isAmbiguous(path)))
  }
  for (const path of ["/a/..b/c..", "/a/.hidden", "/a/...", "/a.b", "/a//b", "/a%20b", "/a/%252e%252e", "/a;v=1/b"]) {
    it(`lets ${path} pass`, () => assert.isFalse(RouteTable.isAmbiguous(path)))
  }

  it.prop(
    "refuses every path that a URL parser would change into another",
    {
      path: Schema.Array(Schema.Literals(["a", ".", "..", "%2e", "%2E.", "", "\\", "b.c", "#"])).check(
        Schema.isMaxLength(5)
      )
    },
    ({ path }) => {
      const text = `/${path.join("/")}`
      if (RouteTable.isAmbiguous(text)) return
      assert.strictEqual(new URL(`http://host${text}`).pathname, text)
    }
  )
})
