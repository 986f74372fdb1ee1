import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as LineProtocol from "../src/LineProtocol.ts"

const parse = (text: string, precision: LineProtocol.Precision = "ns") =>
  Effect.runSync(LineProtocol.parse(text, precision, 42n))

/** The one point of a text, in plain data. */
const one = (text: string, precision?: LineProtocol.Precision) => {
  const { invalid, points } = parse(text, precision)
  assert.deepStrictEqual(invalid, [])
  assert.lengthOf(points, 1)
  const [point] = points
  return {
    measurement: point?.measurement,
    tags: point?.tags.entries,
    fields: point?.fields.map(({ name, type, value }) => [name, type, value]),
    time: point?.time
  }
}

const reasons = (text: string) => parse(text).invalid.map(({ line, message }) => `${line}: ${message}`)

describe("LineProtocol", () => {
  it("reads measurement, tags, fields of every type and the time", () => {
    assert.deepStrictEqual(one(`cpu,host=a,cpu=0 f=1.5,i=-3i,u=18446744073709551615u,s="x, y=z",b=t -7`), {
      measurement: "cpu",
      tags: [
        ["cpu", "0"],
        ["host", "a"]
      ],
      fields: [
        ["f", "float", 1.5],
        ["i", "integer", -3n],
        ["u", "unsigned", 18446744073709551615n],
        ["s", "string", "x, y=z"],
        ["b", "boolean", true]
      ],
      time: -7n
    })
  })

  it("reads every spelling of numbers and booleans", () => {
    const values = (text: string) => one(`m ${text}`).fields?.map(([, , value]) => value)
    assert.deepStrictEqual(values("a=1,b=-1.,c=.5,d=1e3,e=1E-2,f=+2.5e+1"), [1, -1, 0.5, 1000, 0.01, 25])
    assert.deepStrictEqual(values("a=9223372036854775807i,b=-9223372036854775808i,c=0u"), [
      2n ** 63n - 1n,
      -(2n ** 63n),
      0n
    ])
    assert.deepStrictEqual(values("a=t,b=T,c=true,d=True,e=TRUE"), [true, true, true, true, true])
    assert.deepStrictEqual(values("a=f,b=F,c=false,d=False,e=FALSE"), [false, false, false, false, false])
  })

  it("takes escapes out of names and values, and leaves other backslashes alone", () => {
    assert.deepStrictEqual(one(String.raw`my\ cpu\,x=1,ta\=g\,\ k=v\ a\,l\=ue\d fi\=e\,l\ d="a\"b\\c\d" 1`), {
      measurement: "my cpu,x=1",
      tags: [["ta=g, k", "v a,l=ue\\d"]],
      fields: [["fi=e,l d", "string", 'a"b\\c\\d']],
      time: 1n
    })
  })

  it("skips comments and empty lines, takes both line ends, and counts lines through quoted line ends", () => {
    const { invalid, points } = parse('# a comment\n\n  \r\na v=1 1\r\nb s="two\nlines" 2\nc v=1\r\nbad\n')
    assert.deepStrictEqual(
      points.map(({ line, measurement, time }) => [line, measurement, time]),
      [
        [4, "a", 1n],
        [5, "b", 2n],
        [7, "c", 42n]
      ]
    )
    assert.deepStrictEqual(invalid, [{ line: 8, message: "there are no fields" }])
  })

  it("takes times in the precision that is said", () => {
    const times = (["ns", "us", "ms", "s"] as const).map((precision) => one("m v=1 12", precision).time)
    assert.deepStrictEqual(times, [12n, 12_000n, 12_000_000n, 12_000_000_000n])
    assert.strictEqual(one("m v=1", "s").time, 42n)
  })

  it("tells every line that is wrong, with its number and the reason", () => {
    assert.deepStrictEqual(
      reasons(
        [
          "m",
          "m,host=a",
          "m ",
          "m v",
          "m v=",
          "m =1",
          ",host=a v=1",
          "m,host v=1",
          "m,host= v=1",
          "m,=a v=1",
          "m,a=1,a=2 v=1",
          "m,a=b=c v=1",
          "m v=1x",
          "m v=nan",
          "m v=1.5i",
          "m v=9223372036854775808i",
          "m v=-1u",
          "m v=1e999",
          'm v="a"b',
          "m v=1 now",
          "m v=1 1 2",
          "m v=1 9223372036854775807",
          `${"m".repeat(257)} v=1`,
          "m v=1,",
          'm v="open'
        ].join("\n")
      ),
      [
        "1: there are no fields",
        "2: there are no fields",
        "3: there are no fields",
        '4: field "v" has no value',
        '5: field "v" has no value',
        "6: a field has no name",
        "7: a measurement has no name",
        '8: tag "host" has no value',
        '9: tag "host" has no value',
        "10: a tag has no name",
        '11: tag "a" is there twice',
        '12: tag "a" has an = in its value that is not escaped',
        '13: field "v" has 1x, which is no number, boolean or quoted string',
        '14: field "v" has nan, which is no number, boolean or quoted string',
        '15: field "v" has 1.5i, which is no number, boolean or quoted string',
        '16: field "v" has 9223372036854775808i, which does not fit 64 bits',
        '17: field "v" has -1u, which does not fit 64 bits',
        '18: field "v" has 1e999, which is out of range',
        '19: field "v" has something after its closing quote',
        "20: the time now is not an integer of at most 19 digits",
        "21: the time 1 2 is not an integer of at most 19 digits",
        "22: the time 9223372036854775807 is not between the years 1677 and 2262",
        "23: the measurement name is longer than 256 characters",
        '24: field "" has no value',
        '25: field "v" has a string without a closing quote'
      ]
    )
  })

  it("skips white space before a line and after its separator, but takes no tab for the separator", () => {
    assert.strictEqual(one("\t m v=1 5").measurement, "m")
    assert.deepStrictEqual(one("m \t v=1 \t5").fields, [["v", "float", 1]])
    assert.deepStrictEqual(reasons("m\tv=1"), ["1: there are no fields"])
  })

  it("refuses strings and tags that are longer than InfluxDB takes, by name", () => {
    assert.deepStrictEqual(reasons(`m s="${"x".repeat(65_537)}"`), [
      '1: field "s" has a string of more than 65536 characters'
    ])
    assert.deepStrictEqual(reasons(`m,t=${"x".repeat(65_536)} v=1`), [
      "1: the measurement and its tags have more than 65535 characters"
    ])
    assert.lengthOf(parse(`m s="${"x".repeat(65_000)}"`).points, 1)
  })

  it("stops telling after a hundred lines", () => {
    assert.lengthOf(parse("bad\n".repeat(1000)).invalid, 100)
  })

  it("goes on after the line whose string is not closed", () => {
    const { invalid, points } = parse('m s="open\nm v=1 1\nm v=x')
    assert.deepStrictEqual(
      invalid.map(({ line }) => line),
      [1, 3]
    )
    assert.lengthOf(points, 1)
  })

  const Text = Schema.String.check(Schema.isBetweenLength(1, 20))
  const escape = (text: string) => text.replace(/[,= ]/g, "\\$&")
  /** What line protocol cannot say: a line end in a name, a backslash that meets an escape, a comment. */
  const sayable = (text: string) => !/[\n\r\\]/.test(text) && !/^[#\s]/.test(text)

  it.prop(
    "reads what was written, whatever the names and values",
    [Text, Text, Text, Text, Schema.String, Schema.Finite],
    ([measurement, tag, value, field, string, number]) => {
      if (![measurement, tag, value, field].every(sayable)) return
      const quoted = string.replace(/["\\]/g, "\\$&")
      const line = `${escape(measurement)},${escape(tag)}=${escape(value)} ${escape(field)}="${quoted}",x=${Object.is(number, -0) ? "-0" : number} 5`
      assert.deepStrictEqual(one(line), {
        measurement,
        tags: [[tag, value]],
        fields: [
          [field, "string", string],
          ["x", "float", number]
        ],
        time: 5n
      })
    }
  )

  it.prop("never fails, and finds a point or a reason in every line of any text", [Schema.String], ([text]) => {
    const { invalid, points } = parse(`${text.replaceAll('"', "'")}\nm v=1 1`)
    assert.strictEqual(points.at(-1)?.measurement ?? invalid.at(-1)?.line, points.at(-1) ? "m" : 0)
  })
})
