import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as MultipartSplitter from "../src/MultipartSplitter.ts"
import { ask, exchange, head, multipart, post, Served } from "./server.ts"

/** What a splitter makes of the body in pieces of these lengths, over and over. */
const split = (body: string, lengths: ReadonlyArray<number>) => {
  const splitter = MultipartSplitter.make("xyz")
  const bytes = Buffer.from(body, "latin1")
  const parts: Array<{ head: string; content: string; ended: boolean }> = []
  let ended = false
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const length = lengths[n % lengths.length] ?? 1
    for (const event of splitter.push(bytes.subarray(at, at + length))) {
      const last = parts.at(-1)
      if (event._tag === "Head")
        parts.push({ head: Buffer.from(event.head).toString("latin1"), content: "", ended: false })
      else if (event._tag === "Data" && last) last.content += Buffer.from(event.data).toString("latin1")
      else if (event._tag === "PartEnd" && last) last.ended = true
      else if (event._tag === "End") ended = true
    }
    at += length
  }
  return { parts, ended }
}

const lookalikes = [
  "\r\n--xyza",
  "\r\n--xyz \tb",
  "\r\n--xy.",
  "\r\n--xyz\r.",
  "\r\n--xyz\n",
  "\r\n--xyz-.",
  "--xyz.",
  "\r",
  "\n",
  "\r\n",
  "\0",
  "x"
] as const

describe("The splitter of multipart bodies", () => {
  it.prop(
    "finds the same parts however the body is cut, and keeps content that looks like a boundary",
    [
      Schema.Array(Schema.Array(Schema.Literals(lookalikes)).check(Schema.isMaxLength(6))).check(Schema.isMaxLength(4)),
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 }))).check(Schema.isMinLength(1)),
      Schema.Literals(["", " ", "\t \t"])
    ],
    ([contents, lengths, padding]) => {
      const texts = contents.map((pieces) => `${pieces.join("")}.`)
      const body = `preamble${texts.map((content, n) => `\r\n--xyz${padding}\r\nA: ${n}\r\n\r\n${content}`).join("")}\r\n--xyz--${padding}\r\nepilogue`
      const expected = { parts: texts.map((content, n) => ({ head: `A: ${n}`, content, ended: true })), ended: true }
      assert.deepStrictEqual(split(body, lengths), expected)
      assert.deepStrictEqual(split(body, [body.length]), expected)
    }
  )
})

const part = (headers: ReadonlyArray<string>, content: string | Uint8Array) =>
  Buffer.concat([
    Buffer.from(`--xyz\r\n${headers.join("\r\n")}\r\n\r\n`, "latin1"),
    Buffer.from(content),
    Buffer.from("\r\n")
  ])

/** Text whose characters stand for single bytes. */
const file = (parameter: string, ...headers: ReadonlyArray<string>) =>
  part([`Content-Disposition: form-data; name="file"; ${parameter}`, ...headers], "x")

const body = (...parts: ReadonlyArray<Uint8Array>) => Buffer.concat([...parts, Buffer.from("--xyz--\r\n")])

layer(Served.layer(), { excludeTestServices: true })("An upload", (it) => {
  it.effect("whose file names are no UTF-8 is refused, so that two of them cannot become one", () =>
    Effect.gen(function* () {
      for (const parameter of [
        'filename="\xff"',
        'filename="\xfe"',
        'filename="a\xc3.txt"',
        "filename*=UTF-8''%FF",
        "filename*=UTF-8''a%C3"
      ]) {
        const problem = yield* post(body(file(parameter)))
        assert.deepInclude(
          problem,
          { status: 400, type: "urn:opsbuddy:problem:invalid-upload", part: "file" },
          parameter
        )
      }
      const replacement = Buffer.from("a\ufffd").toString("latin1")
      for (const parameter of [`filename="${replacement}"`, "filename*=UTF-8''a%EF%BF%BD"]) {
        const { items } = yield* post(body(file(parameter)))
        assert.strictEqual(items[0].name, "a\ufffd")
      }
    })
  )

  it.effect("whose tags are no UTF-8 is refused", () =>
    Effect.gen(function* () {
      const tags = (value: Uint8Array) =>
        part(
          ['Content-Disposition: form-data; name="tags"'],
          Buffer.concat([Buffer.from('{"a":"'), value, Buffer.from('"}')])
        )
      const problem = yield* post(body(tags(Buffer.from([0xff])), file("filename=a")))
      assert.deepInclude(problem, { status: 400, type: "urn:opsbuddy:problem:invalid-upload", part: "tags" })
      const { items } = yield* post(body(tags(Buffer.from("\ufffd")), file("filename=a")))
      assert.deepStrictEqual(items[0].tags, { a: "\ufffd" })
    })
  )

  it.effect("keeps the content type as it was sent, with its parameters", () =>
    Effect.gen(function* () {
      for (const type of ["text/plain; charset=iso-8859-1", 'Text/X-a;a="b;\\" c";  d=e', "application/octet-stream"]) {
        const { items } = yield* post(body(file("filename=a", `Content-Type: ${type}`)))
        assert.strictEqual(items[0].contentType, type)
        assert.strictEqual((yield* ask(`/api/files/${items[0].id}`)).headers.get("content-type"), type)
      }
      const without = yield* post(body(file("filename=a")))
      assert.strictEqual(without.items[0].contentType, "application/octet-stream")
      for (const type of ["text", "text/plain; charset", `text/plain; a=${"b".repeat(300)}`, "text/ü"]) {
        const problem = yield* post(body(file("filename=a", `Content-Type: ${Buffer.from(type).toString("latin1")}`)))
        assert.deepInclude(problem, { status: 400, type: "urn:opsbuddy:problem:invalid-upload", part: "file" }, type)
      }
    })
  )

  it.effect("may have padding after its boundaries, a preamble and an epilogue", () =>
    Effect.gen(function* () {
      const text = [
        "not for us",
        "--xyz \t ",
        'Content-Disposition: form-data; name="file"; filename="padded"',
        "",
        "one",
        "--xyz \tno boundary",
        "--xyz\t",
        'Content-Disposition: form-data; name="tags"',
        "",
        '{"a":"b"}',
        "--xyz--  ",
        "nor this"
      ].join("\r\n")
      const { items } = yield* post(text)
      assert.deepInclude(items[0], { name: "padded", tags: { a: "b" } })
      const { bytes } = yield* ask(`/api/files/${items[0].id}`)
      assert.strictEqual(new TextDecoder().decode(bytes), "one\r\n--xyz \tno boundary")
    })
  )

  it.effect("may come in pieces of one byte, and with a quoted boundary", () =>
    Effect.gen(function* () {
      const text = body(file('filename="pieces"')).toString("latin1").replaceAll("xyz", "x y")
      const chunks = [...text].map((byte) => `1\r\n${byte}\r\n`)
      const received = yield* exchange(
        head(multipart.replace("xyz", '"x y"'), "Transfer-Encoding: chunked"),
        ...chunks,
        "0\r\n\r\n"
      )
      assert.match(received, /^HTTP\/1\.1 201 /)
      assert.include(received, '"name":"pieces"')
    })
  )
})
