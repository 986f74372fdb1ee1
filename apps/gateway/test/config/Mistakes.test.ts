import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { show } from "../../src/config/Mistake.ts"
import { full, load, mistakes, read } from "./documents.ts"

/** A file in which `§` marks where its mistakes are, and what they are. */
const expectMistakes = (marked: string, ...expected: ReadonlyArray<string>) => {
  const places = marked.split("\n").flatMap((line, index) =>
    line
      .split("§")
      .slice(1)
      .map(
        (_, mark) =>
          `${index + 1}:${
            line
              .split("§")
              .slice(0, mark + 1)
              .join("").length + 1
          }`
      )
  )
  assert.lengthOf(places, new Set(places).size)
  assert.deepStrictEqual(
    mistakes(marked.replaceAll("§", "")).map(show),
    expected.map((line) => `opsbuddy.yaml:${line.replace(/^§(\d+)/, (_, mark) => places[Number(mark) - 1] ?? "?")}`)
  )
}

/** A value in an otherwise good upstream or route, and the reason why it is not taken; `undefined` where it is. */
const upstreamWith = (setting: string) => `upstreams: { a: { targets: ["http://a:1"], ${setting} } }`
const routeWith = (setting: string) => `routes: [{ name: r, path: /r, upstream: files, ${setting} }]`
const reasons = (text: string) => mistakes(text).map(({ path, reason }) => `${path}: ${reason}`)

describe("a mistake in a configuration file", () => {
  it("names line, column, path and reason, and all are told at once", () => {
    expectMistakes(
      `upstreams:
  shop:
    targets: [§http://a:1/x, §3, { §wieght: 2, url: §dns://b }]
    balance: §rund-robin
    timeouts: { attempt: §5x }
    §retry:
    circuit: §off
  §other: {}
  §gateway: { targets: ["http://a:1", §http://A:1/] }
  §"a b": { targets: [http://a:1] }
routes:
  - §7
  - §name: one
  - name: two
    §exact: /x
    path: /y
    upstream: §shp
    limit: { rate: §100/d, burst: §0 }
  - { path: /z, upstream: shop, §cors: {} }
  - §{ path: /api/files, upstream: shop }
§rutes: []
trustedProxies: [§10.0.0.0/33]
`,
      "§1 upstreams.shop.targets[0]: must not have a path: routes change paths with replacePrefix",
      "§2 upstreams.shop.targets[1]: must be text or a mapping, not 3",
      "§3 upstreams.shop.targets[2].wieght: is not a setting; did you mean weight?",
      "§4 upstreams.shop.targets[2].url: must name a port: dns://name:port",
      '§5 upstreams.shop.balance: must be round-robin, least-requests, weighted or hash, not "rund-robin"',
      "§6 upstreams.shop.timeouts.attempt: must be a time such as 500ms, 5s, 10m, 1h or 7d",
      "§7 upstreams.shop.retry: has no value: give it one, or leave the setting out",
      '§8 upstreams.shop.circuit: must be a mapping, not "off"',
      "§9 upstreams.other.targets: is required",
      "§10 upstreams.gateway: is a name that the gateway uses itself",
      "§11 upstreams.gateway.targets[1]: is targets[0] again",
      '§12 upstreams["a b"]: must be called by a name: letters, digits, dots, _ and -, at most 63',
      "§13 routes[0]: must be a mapping, not 7",
      "§14 routes[1]: needs a path, an exact path or a host",
      "§14 routes[1]: needs an upstream or a redirect",
      "§15 routes[2].exact: is there beside path: a route has one of both",
      "§16 routes[2].upstream: is not the name of an upstream; did you mean shop?",
      "§17 routes[2].limit.rate: must be a rate such as 100/s, 100/m or 100/h",
      "§18 routes[2].limit.burst: must be between 1 and 1000000000",
      "§19 routes[3].cors.origins: is required",
      "§20 routes[4]: takes the same requests as the built-in route files: name it so, or disable that one",
      "§21 rutes: is not a setting; did you mean routes?",
      "§22 trustedProxies[0]: must have at most 32 bits"
    )
  })

  it("is found in values", () => {
    for (const [text, reason] of [
      [
        upstreamWith("weight: 1"),
        "upstreams.a.weight: is not a setting; here are targets, balance, timeouts, retry, circuit, outliers, health, concurrency, disabled"
      ],
      [upstreamWith("timeouts: { attempt: 0s }"), /500ms, 5s/],
      [upstreamWith("timeouts: { attempt: 5 }"), "upstreams.a.timeouts.attempt: must be text: put 5 in quotes"],
      [upstreamWith("timeouts: { idle: 25d }"), "upstreams.a.timeouts.idle: must be at most 24d"],
      [upstreamWith("retry: { attempts: 1.5 }"), /attempts: must be an integer/],
      [upstreamWith("retry: { attempts: .inf }"), /attempts: must be/],
      [upstreamWith("retry: { budget: 2 }"), "upstreams.a.retry.budget: must be between 0 and 1"],
      [upstreamWith("health: { path: up }"), "upstreams.a.health.path: must start with /"],
      [upstreamWith("health: on"), 'upstreams.a.health: must be off or a mapping, not "on"'],
      [upstreamWith("health: [off]"), "upstreams.a.health: must be off or a mapping, not a list"],
      [upstreamWith("balance: { hash: {} }"), "upstreams.a.balance.hash.by: is required"],
      [
        upstreamWith("balance: { hash: { by: subject } }"),
        "upstreams.a.balance.hash.by: must be client or header:NAME"
      ],
      [upstreamWith("concurrency: { max: 0 }"), /must be between 1 and 1000000/],
      ["upstreams: { a: { targets: [] } }", "upstreams.a.targets: must be a list with at least one item"],
      ...[
        "a:1",
        "ftp://a:1",
        "http://",
        "http://a:0x1",
        "http://a:70000",
        "http://u:p@a",
        "http://a?x",
        "dns://a",
        "dns://[::1]:1",
        "http://a b"
      ].map((url) => [`upstreams: { a: { targets: ["${url}"] } }`, /^upstreams\.a\.targets\[0\]: /] as const),
      ...["x", "/x/", "/a b", "/ä", "/a/../b", "/a%2Fb", "/a//b", "/a?b", "/*", "/a\\\\b"].map(
        (path) => [`routes: [{ path: "${path}", upstream: files }]`, /^routes\[0\]\.path: must/] as const
      ),
      ...["a:80", "http://a", "*.*.a", "a_b", "-a", "a..b", "*a"].map(
        (host) => [routeWith(`host: "${host}"`), /host: must be a host/] as const
      ),
      ...["10", "10 MB ", "10mb", "-1kB", "1.5MiB", "99999999TiB"].map(
        (size) => [routeWith(`maxBody: "${size}"`), /maxBody: (must be a size|is too)/] as const
      ),
      ...["100", "100/d", "0/s", "1.5/s", "/s"].map(
        (rate) => [routeWith(`limit: { rate: "${rate}" }`), /rate: must be a rate/] as const
      ),
      ...["10.0.0.1", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/-1"].map(
        (cidr) => [`trustedProxies: ["${cidr}"]`, /^trustedProxies\[0\]: must/] as const
      ),
      ...["https://a/", "a", "https://*.a", "null"].map(
        (origin) => [routeWith(`cors: { origins: ["${origin}"] }`), /origins\[0\]: must be an origin/] as const
      ),
      [routeWith("limit: { rate: 1/s, by: ip }"), "routes[0].limit.by: must be client, subject or header:NAME"],
      [routeWith("methods: [get]"), "routes[0].methods[0]: must be a method in capital letters"],
      [routeWith("methods: []"), "routes[0].methods: must be a list with at least one item"],
      [routeWith("headers: { x: 2 }"), "routes[0].headers.x: must be text: put 2 in quotes"],
      [routeWith('headers: { x: "" }'), /headers\.x: must be text of printable ASCII/],
      [routeWith('requestHeaders: { set: { x: "a\\r\\nb" } }'), /set\.x: must be text of printable ASCII/],
      [routeWith("securityHeaders: yes"), 'routes[0].securityHeaders: must be true or false, not "yes"'],
      ["routes: [{ path: /r, redirect: { to: //evil } }]", /redirect\.to: must be a URL, or a path/],
      [
        "routes: [{ path: /r, redirect: { to: /x, status: 300 } }]",
        "routes[0].redirect.status: must be 301, 302, 303, 307 or 308, not 300"
      ],
      ["rateLimits: { redis: http://a }", "rateLimits.redis: must be redis://host:port or rediss://host:port"],
      ["rateLimits: { whenGone: block }", 'rateLimits.whenGone: must be local, allow or refuse, not "block"'],
      ["5", ": must be a mapping, not 5"],
      ["[]", ": must be a mapping, not a list"]
    ] as const) {
      const found = reasons(text)
      assert.lengthOf(found, 1, `${text}: ${found.join("; ")}`)
      if (typeof reason === "string") assert.strictEqual(found[0], reason)
      else assert.match(found[0] ?? "", reason, text)
    }
  })

  it("is found between settings", () => {
    for (const [text, ...expected] of [
      [upstreamWith("timeouts: { attempt: 40s }"), "upstreams.a.timeouts.attempt: must be at most total, which is 30s"],
      [
        upstreamWith("retry: { backoff: { base: 5s } }"),
        "upstreams.a.retry.backoff.base: must be at most max, which is 1s"
      ],
      [
        upstreamWith("outliers: { ejectFor: 10m }"),
        "upstreams.a.outliers.ejectFor: must be at most maxEjectFor, which is 5m"
      ],
      [
        upstreamWith("circuit: { failureRate: { calls: 10 } }"),
        "upstreams.a.circuit.failureRate.minimumCalls: must be at most calls, which is 10"
      ],
      [
        "upstreams: { a: { disabled: true } }",
        "upstreams.a: is no built-in upstream to disable: those are files, utility, analytics, timeseries"
      ],
      [
        "upstreams: { files: { disabled: true } }",
        "upstreams.files.disabled: leaves the built-in route files without it: disable that too"
      ],
      [
        "upstreams: { files: { disabled: true } }\nroutes: [{ name: files, path: /f, upstream: files }]",
        "routes[0].upstream: is files, which is disabled"
      ],
      [
        "routes: [{ name: filse, disabled: true }]",
        "routes[0].name: is no built-in route to disable: those are files, utility, analytics, timeseries"
      ],
      ["routes: [{ disabled: true }]", "routes[0]: is disabled, and needs the name of a built-in route"],
      [
        "routes: [{ path: /a, upstream: files, redirect: { to: /b } }]",
        "routes[0].redirect: is there beside upstream: a route has one of both"
      ],
      [
        "routes: [{ path: /a, redirect: { to: /b }, maxBody: 1kB, timeouts: { idle: 1s } }]",
        "routes[0].maxBody: has no effect on a redirect",
        "routes[0].timeouts: has no effect on a redirect"
      ],
      ["routes: [{ name: none, path: /a, upstream: files }]", "routes[0].name: is a name that the gateway uses itself"],
      [
        "routes: [{ name: a, path: /a, upstream: files }, { name: a, path: /b, upstream: files }]",
        "routes[1].name: is the name of routes[0]"
      ],
      [
        "routes: [{ path: /a, headers: { x: a }, upstream: files }, { path: /a, upstream: files }]",
        "routes[1]: needs a name: without one it is called /a, as routes[0] is"
      ],
      [
        "routes: [{ path: /a, name: a, headers: { x: a, Y: b }, host: A.b, upstream: files }, { path: /a, name: b, headers: { y: b, X: a }, host: a.B, upstream: files }]",
        "routes[1]: takes the same requests as routes[0], a"
      ],
      [
        "routes: [{ path: /a, methods: [GET, PUT], upstream: files }, { path: /a, methods: [PUT], upstream: files }]",
        "routes[1]: takes the same requests as routes[0], GET,PUT /a"
      ],
      [
        routeWith("stripPrefix: true, replacePrefix: /a"),
        "routes[0].replacePrefix: is there beside stripPrefix: a route has one of both"
      ],
      [routeWith("timeouts: { attempt: 40s }"), "routes[0].timeouts.attempt: must be at most total, which is 30s"],
      [
        routeWith("retry: { backoff: { max: 1ms } }"),
        "routes[0].retry.backoff.base: must be at most max, which is 1ms"
      ],
      [
        routeWith('cors: { origins: ["*"], credentials: true }'),
        "routes[0].cors.origins: must name the origins where credentials are allowed, not *"
      ],
      [routeWith("headers: { x-a: a, X-A: b }"), "routes[0].headers.X-A: is there already in other letters"],
      [
        routeWith("requestHeaders: { set: { Connection: close } }"),
        "routes[0].requestHeaders.set.Connection: belongs to the connection, which a route does not choose"
      ]
    ] as const) {
      assert.deepStrictEqual(reasons(text), [...expected], text)
    }
    for (const text of [
      "routes: [{ path: /a, methods: [GET], upstream: files }, { path: /a, methods: [PUT], upstream: files }]",
      "routes: [{ path: /a, methods: [GET], upstream: files }, { path: /a, upstream: files }]",
      "routes: [{ path: /a, upstream: files }, { exact: /a, upstream: files }, { path: /a, host: a, upstream: files }]",
      "routes: [{ path: /r, upstream: files, disabled: true }, { path: /r, upstream: files }]",
      routeWith("timeouts: { attempt: 40s, total: 1m }")
    ]) {
      assert.deepStrictEqual(reasons(text), [])
    }
  })

  it("is found in the notation", () => {
    const deep = (levels: number) => `routes: ${"[".repeat(levels)}${"]".repeat(levels)}`
    for (const [text, line, column, reason] of [
      ["a: [1, 2", 1, 9, /^is not YAML: Flow sequence/],
      ["upstreams:\n\tshop: 1", 2, 1, /^is not YAML: Tabs are not allowed/],
      ["upstreams: {}\n---\nroutes: []", 2, 1, /^is a second document/],
      ["upstreams: {}\nroutes: []\nupstreams: {}", 3, 1, /^is there already, in line 1$/],
      ["routes: []\n1: 2", 2, 1, /^has a key that is not text: put it in quotes$/],
      ["? [a]\n: 2", 1, 3, /^has a key that is not text/],
      ["routes: !custom []", 1, 9, /^is not YAML: Unresolved tag/],
      ["routes: *nothing", 1, 9, /^is not YAML: Unresolved alias|^has no anchor/],
      ["upstreams: &a { b: *a }", 1, 20, /^is an alias of what it is a part of$/],
      ["upstreams: { <<: {} }", 1, 14, /^is a merge key/],
      [deep(500_000), 1, undefined, /^is nested in more than 32 levels$/],
      [`routes: ${"- ".repeat(100)}`, 1, undefined, /^is (nested in more|not YAML)/],
      [`#${"x".repeat(1024 * 1024)}`, 1, 1, /^is larger than 1 MiB$/],
      [`#${"é".repeat(600_000)}`, 1, 1, /^is larger than 1 MiB$/]
    ] as const) {
      const [first] = mistakes(text)
      assert.match(first?.reason ?? "", reason, text.slice(0, 80))
      assert.strictEqual(first?.line, line)
      if (column !== undefined) assert.strictEqual(first?.column, column, text.slice(0, 80))
    }
  })

  it("is that aliases multiply, and nothing is made of them", () => {
    const levels = Array.from({ length: 12 }, (_, level) => {
      const inner = level === 0 ? "x" : `*l${level - 1}`
      return `l${level}: &l${level} [${Array.from({ length: 9 }, () => inner).join(", ")}]`
    })
    const found = mistakes(levels.join("\n"))
    assert.isTrue(found.some(({ reason }) => reason === "is one of more than 100 aliases"))
  })

  it("may be in what is built in, which comes from variables", () => {
    const under = { upstreams: { files: { targets: ["http://files:99999"] } }, routes: [] }
    assert.deepStrictEqual(mistakes("", under).map(show), [
      "built-in:1:1 upstreams.files.targets[0]: is not a valid URL"
    ])
  })

  it("is told up to a hundred times", () => {
    const routes = Array.from({ length: 150 }, (_, index) => `  - { path: /${index}, upstream: nobody${index} }`)
    const found = mistakes(`routes:\n${routes.join("\n")}`)
    assert.lengthOf(found, 100)
    assert.deepStrictEqual(
      found.map(({ line }) => line),
      Array.from({ length: 100 }, (_, index) => index + 2)
    )
  })

  it("is not that a name means something in JavaScript", () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      assert.match(reasons(`${name}: 1`)[0] ?? "", /is not a setting/)
      assert.match(reasons(upstreamWith(`${name}: 1`))[0] ?? "", /is not a setting/)
      assert.match(reasons(`routes: [{ path: /r, upstream: "${name}" }]`)[0] ?? "", /^routes\[0\]\.upstream: /)
    }
    const { config } = load(
      'upstreams: { constructor: { targets: ["http://a:1"] } }\nroutes: [{ path: /c, upstream: constructor }]'
    )
    assert.strictEqual(config.upstreams[0]?.name, "constructor")
  })
})

/** Pieces that mean something to YAML or to the settings. */
const Piece = Schema.Literals([
  "",
  " ",
  "\n",
  "\t",
  ":",
  "- ",
  "[",
  "]",
  "{",
  "}",
  ",",
  "#",
  "&a ",
  "*a",
  "!x ",
  "|",
  ">",
  "'",
  '"',
  "%",
  "@",
  "?",
  "<<: ",
  "---\n",
  "null",
  "~",
  "-1",
  "0",
  "1e999",
  "0x10",
  "true",
  "off",
  "5s",
  "/x",
  "\u0000",
  "\uFEFF",
  "💥",
  "\r\n",
  "__proto__: ",
  "x: "
])
const Edit = Schema.Struct({
  at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: full.length })),
  remove: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })),
  insert: Piece
})
const Edits = Schema.Array(Edit).check(Schema.isMinLength(1), Schema.isMaxLength(4))

describe("any file", () => {
  it.prop(
    "is taken, or has mistakes that are in it",
    { edits: Edits },
    ({ edits }) => {
      const text = edits.reduce(
        (before, { at, insert, remove }) => before.slice(0, at) + insert + before.slice(at + remove),
        full
      )
      const result = read(text)
      if (Result.isSuccess(result)) return
      const lines = text.split("\n")
      assert.isAtLeast(result.failure.length, 1)
      assert.isAtMost(result.failure.length, 100)
      for (const mistake of result.failure) {
        const line = lines[mistake.line - 1]
        assert.isDefined(line, `${show(mistake)} in\n${text}`)
        assert.isTrue(mistake.column >= 1 && mistake.column <= (line ?? "").length + 1, `${show(mistake)} in\n${text}`)
        assert.notStrictEqual(mistake.reason, "")
      }
    },
    { arbitrary: { runs: 60 } }
  )
})
