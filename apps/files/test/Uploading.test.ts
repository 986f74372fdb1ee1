import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { onDisk, until } from "./folders.ts"
import { ask, exchange, head, listed, multipart, part, post, Served, send, text } from "./server.ts"

const file = (content: string, name = "a.txt") => part(`form-data; name="file"; filename="${name}"`, content)
const field = (name: string, value: string) => part(`form-data; name="${name}"`, value)

/** Nothing of what a test sent is kept, as soon as the server has noticed that no more comes. */
const nothingStored = Effect.gen(function* () {
  const { directory } = yield* Served
  yield* until(() => {
    const { contents, incoming } = onDisk(directory)
    return incoming.length === 0 && contents.length === 0
  })
  assert.deepStrictEqual(yield* listed, [])
})

layer(Served.layer(), { excludeTestServices: true })("A broken upload", (it) => {
  const invalid: ReadonlyArray<readonly [string, string, string | undefined]> = [
    ["no file", `${field("tags", "{}")}--xyz--\r\n`, "file"],
    ["no part at all", "--xyz--\r\n", "file"],
    ["a file without a name", `${file("x", "")}--xyz--\r\n`, "file"],
    ["a file whose name is a folder", `${file("x", "a/")}--xyz--\r\n`, "file"],
    ["a file whose name is ..", `${file("x", "a/..")}--xyz--\r\n`, "file"],
    ["a file whose name is too long", `${file("x", "n".repeat(256))}--xyz--\r\n`, "file"],
    [
      "a file with a control character in its name",
      `${part("form-data; name=file; filename*=UTF-8''a%01b", "x")}--xyz--\r\n`,
      "file"
    ],
    ["a file sent as a field", `${field("file", "x")}--xyz--\r\n`, "file"],
    ["an unknown field", `${file("x")}${field("color", "red")}--xyz--\r\n`, "color"],
    ["an unknown file", `${file("x")}${part('form-data; name="other"; filename="a"', "x")}--xyz--\r\n`, "other"],
    ["tags that are no JSON", `${file("x")}${field("tags", "{")}--xyz--\r\n`, "tags"],
    ["tags that are no object", `${file("x")}${field("tags", "[]")}--xyz--\r\n`, "tags"],
    ["tags that are no strings", `${file("x")}${field("tags", '{"a":1}')}--xyz--\r\n`, "tags"],
    ["a tag without a valid key", `${file("x")}${field("tags", '{"a b":"c"}')}--xyz--\r\n`, "tags"],
    [
      "too many tags",
      `${file("x")}${field("tags", JSON.stringify(Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`k${n}`, ""]))))}--xyz--\r\n`,
      "tags"
    ],
    ["tags twice", `${field("tags", "{}")}${file("x")}${field("tags", "{}")}--xyz--\r\n`, "tags"],
    [
      "tags sent as a file",
      `${file("x")}${part('form-data; name="tags"; filename="t.json"', "{}")}--xyz--\r\n`,
      "tags"
    ],
    ["a field that is too large", `${file("x")}${field("tags", " ".repeat(65_537))}--xyz--\r\n`, undefined],
    ["more than 100 parts", `${file("x").repeat(101)}--xyz--\r\n`, undefined],
    ["a part without a name", `${file("x")}${part("form-data", "x")}--xyz--\r\n`, undefined],
    ["a part with malformed headers", `${file("x")}--xyz\r\nbad header: x\r\n\r\nx\r\n--xyz--\r\n`, undefined]
  ]
  for (const [what, body, name] of invalid) {
    it.effect(`with ${what} is refused, naming the part, and leaves nothing`, () =>
      Effect.gen(function* () {
        const problem = yield* post(body)
        assert.deepInclude(problem, { status: 400, type: "urn:opsbuddy:problem:invalid-upload" })
        assert.strictEqual(problem.part, name)
        assert.isNotEmpty(problem.detail)
        yield* nothingStored
      })
    )
  }

  it.effect("whose Content-Type names no boundary is refused", () =>
    Effect.gen(function* () {
      const problem = yield* post(`${file("x")}--xyz--\r\n`, "Content-Type: multipart/form-data")
      assert.deepInclude(problem, { status: 400, type: "urn:opsbuddy:problem:invalid-upload" })
      yield* nothingStored
    })
  )

  it.effect("that is no multipart is refused as a wrong content type", () =>
    Effect.gen(function* () {
      const problem = yield* post("{}", "Content-Type: application/json")
      assert.deepInclude(problem, { status: 415, type: "urn:opsbuddy:problem:unsupported-media-type" })
    })
  )

  const whole = `${file("first")}${file("second", "b.txt")}--xyz--`
  const cuts = [
    0,
    3,
    30,
    whole.indexOf("first") + 3,
    whole.indexOf("first") + 8,
    whole.indexOf("second") + 3,
    whole.length - 2
  ]
  for (const cut of cuts) {
    it.effect(`that ends after ${cut} of ${whole.length} bytes is incomplete and leaves nothing`, () =>
      Effect.gen(function* () {
        const problem = yield* post(whole.slice(0, cut))
        assert.deepInclude(problem, { status: 400, type: "urn:opsbuddy:problem:incomplete-body" })
        yield* nothingStored
      })
    )
  }

  it.effect("leaves nothing when the client goes away in the middle of a file", () =>
    Effect.gen(function* () {
      const { directory } = yield* Served
      const start = `${file("whole")}--xyz\r\nContent-Disposition: form-data; name="file"; filename="b"\r\n\r\n${"x".repeat(300_000)}`
      yield* exchange(head(multipart, "Content-Length: 10000000"), start).pipe(
        Effect.raceFirst(until(() => onDisk(directory).incoming.length === 2))
      )
      yield* nothingStored
    })
  )

  it.effect("leaves nothing when the client stops sending but keeps listening", () =>
    Effect.gen(function* () {
      const received = yield* exchange(head(multipart, "Content-Length: 1000000"), file("whole"), "end")
      assert.match(received, /^$|^HTTP\/1\.1 400 /)
      yield* nothingStored
    })
  )

  it.effect("leaves nothing when its chunks are malformed", () =>
    Effect.gen(function* () {
      const received = yield* exchange(head(multipart, "Transfer-Encoding: chunked"), `5\r\n--xyz\r\nzz\r\n`)
      assert.match(received, /^$|^HTTP\/1\.1 400 /)
      yield* nothingStored
    })
  )
})

layer(Served.layer({ OPSBUDDY_FILES_MAX_BYTES: "1 MiB" }), { excludeTestServices: true })(
  "An upload over the limit",
  (it) => {
    const tooLarge = { type: "urn:opsbuddy:problem:body-too-large", limit: 1_048_576 }

    it.effect("is refused by its declared length", () =>
      Effect.gen(function* () {
        const { body, status } = yield* send(["file", text("a", "x".repeat(1_048_576))])
        assert.strictEqual(status, 413)
        assert.deepInclude(body, tooLarge)
        yield* nothingStored
      })
    )

    it.effect("is refused when it turns out to be", () =>
      Effect.gen(function* () {
        const pieces = [
          file("whole"),
          "--xyz\r\nContent-Disposition: form-data; name=file; filename=b\r\n\r\n",
          "x".repeat(2_000_000)
        ]
        const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`)
        const received = yield* exchange(head(multipart, "Transfer-Encoding: chunked"), ...chunks, "0\r\n\r\n")
        assert.match(received, /^HTTP\/1\.1 413 /)
        assert.include(received, tooLarge.type)
        yield* nothingStored
      })
    )

    it.effect("does not keep later ones from being taken", () =>
      Effect.gen(function* () {
        const { status } = yield* send(["file", text("a", "x".repeat(1_000_000))])
        assert.strictEqual(status, 201)
        assert.strictEqual((yield* ask("/api/files")).status, 200)
      })
    )
  }
)
