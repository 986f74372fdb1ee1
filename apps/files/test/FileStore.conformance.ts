import { createHash } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { FileId, type FileInfo, FileNotFound } from "@opsbuddy/contract/Files"
import { none } from "@opsbuddy/runtime/Conditions"
import { Effect, type Layer, Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { FileStore, type Range, type Selection } from "../src/FileStore.ts"
import { NameParts } from "./names.ts"

const bytesOf = (content: string) => new TextEncoder().encode(content)

/** Stores files of these names, whose content is `content of <name>`, in one upload. */
export const store = Effect.fnUntraced(function* (names: ReadonlyArray<string>, tags: Record<string, string> = {}) {
  const draft = yield* (yield* FileStore).draft
  for (const name of names) {
    yield* draft.add({ name, contentType: "text/plain" }, Stream.succeed(bytesOf(`content of ${name}`)))
  }
  return yield* draft.commit(tags)
}, Effect.scoped)

/** What a reader of the file gets. */
export const read = Effect.fnUntraced(function* (info: FileInfo, range?: Range) {
  const answer = yield* (yield* FileStore).content(info, range)
  return yield* Effect.promise(() => HttpServerResponse.toWeb(answer).text())
}, Effect.scoped)

const one = Effect.fnUntraced(function* (name: string, tags: Record<string, string> = {}) {
  const [info] = yield* store([name], tags)
  return info ?? (yield* Effect.die(new Error("nothing was stored")))
})

/** All pages of a list, one after the other. */
const all = Effect.fnUntraced(function* (selection: Selection) {
  const files = yield* FileStore
  const found: Array<FileInfo> = []
  let cursor: string | undefined
  do {
    const page = yield* files.list(cursor === undefined ? selection : { ...selection, cursor })
    assert.isAtMost(page.items.length, selection.limit ?? 100)
    found.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return found
})

const keys = ["a", "b.c", "__proto__", "constructor"] as const
const values = ["", "1", "1:2", "ü'%", "日本"] as const
const names = ["Straße", "ÄÖ.log", "a%b_c", "A\u030Angström", "\u00C5ngström", "x'y\"z", "ﬁle", "0"] as const

const Uploads = Schema.Array(
  Schema.Struct({
    name: Schema.Literals(names),
    tags: Schema.Array(Schema.Tuple([Schema.Literals(keys), Schema.Literals(values)]))
  })
).check(Schema.isMaxLength(12))

const Question = Schema.Struct({
  name: Schema.optionalKey(Schema.Literals(["", "ä", "%", "_", "å", "Å", "'", "FILE", "none", "ss"])),
  tag: Schema.optionalKey(
    Schema.Array(Schema.Tuple([Schema.Literals(keys), Schema.Literals(values)])).check(Schema.isMaxLength(2))
  ),
  limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 7 }))
})

const folded = (name: string) => name.normalize("NFKC").toLowerCase()

/** What every `FileStore` must do. */
export const conformance = <E>(title: string, backend: Layer.Layer<FileStore, E>) =>
  layer(backend)(`FileStore over ${title}`, (it) => {
    let run = 0

    it.effect("gives back what was stored, whole and by range", () =>
      Effect.gen(function* () {
        const info = yield* one("whole", { b: "2", a: "" })
        const content = "content of whole"
        assert.deepInclude(info, { name: "whole", size: content.length, contentType: "text/plain" })
        assert.strictEqual(info.sha256, createHash("sha256").update(content).digest("hex"))
        assert.deepStrictEqual(yield* (yield* FileStore).stat(info.id), info)
        assert.strictEqual(yield* read(info), content)
        assert.strictEqual(yield* read(info, { first: 3, last: 5 }), content.slice(3, 6))
      })
    )

    it.effect("stores the pieces of a stream in their order, also none", () =>
      Effect.gen(function* () {
        const draft = yield* (yield* FileStore).draft
        const pieces = Array.from({ length: 500 }, (_, n) => bytesOf(`${n},`))
        yield* draft.add({ name: "pieces", contentType: "text/plain" }, Stream.fromIterable(pieces))
        yield* draft.add({ name: "none", contentType: "text/plain" }, Stream.empty)
        const [some, empty] = yield* draft.commit({})
        assert.isDefined(some)
        assert.isDefined(empty)
        assert.strictEqual(yield* read(some), Array.from({ length: 500 }, (_, n) => `${n},`).join(""))
        assert.deepStrictEqual([empty.size, yield* read(empty)], [0, ""])
      }).pipe(Effect.scoped)
    )

    it.effect("shows nothing before the commit, and nothing of what is never committed", () =>
      Effect.gen(function* () {
        const files = yield* FileStore
        const before = (yield* all({})).length
        yield* Effect.gen(function* () {
          const draft = yield* files.draft
          yield* draft.add({ name: "unseen", contentType: "text/plain" }, Stream.succeed(bytesOf("x")))
          assert.deepStrictEqual(yield* all({ name: "unseen" }), [])
        }).pipe(Effect.scoped)
        assert.strictEqual((yield* all({})).length, before)
      })
    )

    it.effect("shows none of several files when the content of one fails", () =>
      Effect.gen(function* () {
        const files = yield* FileStore
        const error = yield* Effect.gen(function* () {
          const draft = yield* files.draft
          yield* draft.add({ name: "torn 1", contentType: "text/plain" }, Stream.succeed(bytesOf("x")))
          const torn = Stream.concat(Stream.succeed(bytesOf("half")), Stream.fail("torn" as const))
          yield* draft.add({ name: "torn 2", contentType: "text/plain" }, torn)
          yield* draft.commit({})
        }).pipe(Effect.scoped, Effect.flip)
        assert.strictEqual(error, "torn")
        assert.deepStrictEqual(yield* all({ name: "torn" }), [])
      })
    )

    it.effect("fails for a file that is not there, or no more", () =>
      Effect.gen(function* () {
        const files = yield* FileStore
        const info = yield* one("short-lived")
        yield* files.remove(info.id, none)
        const missing = new FileNotFound({ id: info.id })
        assert.deepStrictEqual(yield* Effect.flip(files.stat(info.id)), missing)
        assert.deepStrictEqual(yield* Effect.flip(files.content(info)), missing)
        assert.deepStrictEqual(yield* Effect.flip(files.update(info.id, { name: "x", tags: {} }, none)), missing)
        assert.deepStrictEqual(yield* Effect.flip(files.remove(info.id, none)), missing)
        const never = FileId.make("01900000-0000-7000-8000-000000000000")
        assert.deepStrictEqual(yield* Effect.flip(files.stat(never)), new FileNotFound({ id: never }))
      })
    )

    it.effect("changes only what is given, and nothing of the bytes", () =>
      Effect.gen(function* () {
        const files = yield* FileStore
        const info = yield* one("first name", { a: "1" })
        const renamed = yield* files.update(info.id, { name: "second name" }, none)
        assert.deepInclude(renamed, { name: "second name", tags: { a: "1" }, sha256: info.sha256 })
        const tagged = yield* files.update(info.id, { tags: { b: "2" } }, none)
        assert.deepInclude(tagged, { name: "second name", tags: { b: "2" }, createdAt: info.createdAt })
        assert.deepStrictEqual(yield* files.stat(info.id), tagged)
        assert.strictEqual(yield* read(tagged), "content of first name")
      })
    )

    it.effect("keeps apart uploads, changes and removals that run at the same time", () =>
      Effect.gen(function* () {
        const files = yield* FileStore
        const kept = yield* Effect.forEach(
          Array.from({ length: 40 }, (_, n) => n),
          Effect.fnUntraced(function* (n) {
            const infos = yield* store([`busy ${n} a`, `busy ${n} b`], { n: String(n) })
            for (const info of infos) assert.strictEqual(yield* read(info), `content of ${info.name}`)
            const [first, second] = infos
            if (first === undefined || second === undefined) return yield* Effect.die(new Error("not both were stored"))
            yield* files.remove(first.id, none)
            return yield* files.update(second.id, { name: `busy ${n} c` }, none)
          }),
          { concurrency: "unbounded" }
        )
        const found = yield* all({ name: "busy", limit: 9 })
        assert.sameDeepMembers(found, kept)
      })
    )

    it.effect.prop(
      "lists what a filter over all files would, newest first, in pages of any size",
      [Uploads, Question],
      ([uploads, question]) =>
        Effect.gen(function* () {
          // Runs share the store, so each marks its files by a tag that it asks for.
          const marker = String(run++)
          const stored: Array<FileInfo> = []
          for (const { name, tags } of uploads) {
            stored.unshift(yield* one(name, { ...Object.fromEntries(tags), run: marker }))
          }
          const wanted = question.tag ?? []
          const expected = stored.filter(
            (info) =>
              folded(info.name).includes(folded(question.name ?? "")) &&
              wanted.every(([key, value]) => Object.hasOwn(info.tags, key) && info.tags[key] === value)
          )
          const tag = [`run:${marker}`, ...wanted.map(([key, value]) => `${key}:${value}`)]
          const { name, limit } = question
          const found = yield* all(name === undefined ? { tag, limit } : { name, tag, limit })
          assert.deepStrictEqual(found, expected)
        }),
      { arbitrary: { runs: 30 } }
    )

    it.effect.prop(
      "keeps any name and tag that the contract allows",
      [NameParts, NameParts],
      ([parts, others]) =>
        Effect.gen(function* () {
          const name = parts.join("")
          const tags = { any: others.join("\u0000") }
          const info = yield* one(name, tags)
          assert.deepStrictEqual(yield* (yield* FileStore).stat(info.id), info)
          assert.deepInclude(info, { name, tags })
        }),
      { arbitrary: { runs: 30 } }
    )
  })
