import { Cause, Context, Layer, Logger, References, Tracer } from "effect"
import type { LogLevel } from "effect/LogLevel"
import { RequestContext } from "./RequestContext.ts"

export interface LoggingOptions {
  readonly service: string
  readonly level: LogLevel
  readonly format: "auto" | "json" | "pretty"
  /** Standard output when absent. */
  readonly stream?: { readonly isTTY?: boolean; write(text: string): unknown }
}

const isRecord = (u: unknown): u is Record<string, unknown> =>
  typeof u === "object" && u !== null && !Array.isArray(u) && !(u instanceof Error)

/** Survives cycles, big integers and errors: a log line is never lost to its data. */
const stringify = (value: unknown) => {
  const seen = new Set<object>()
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === "bigint") return String(inner)
    if (inner instanceof Error) return { name: inner.name, message: inner.message }
    if (typeof inner !== "object" || inner === null) return inner
    if (seen.has(inner)) return "[seen above]"
    seen.add(inner)
    return inner
  })
}

/**
 * A line's parts. `message` is the text of the call, `data` the objects beside it and the annotations. `operation` is the span
 * that it was written in; outside of one, `request` or `process`.
 */
const entry = (service: string) =>
  Logger.make((options) => {
    const parts = Array.isArray(options.message) ? options.message : [options.message]
    const texts: Array<string> = []
    const annotations = { ...options.fiber.getRef(References.CurrentLogAnnotations) }
    const { logger = service, operation, ...rest } = annotations
    const data: Record<string, unknown> = { ...rest }
    for (const part of parts) {
      if (isRecord(part)) Object.assign(data, part)
      else if (part instanceof Error) data.error = part.message
      else texts.push(String(part))
    }
    if (options.cause.reasons.length > 0) data.cause = Cause.pretty(options.cause)
    const request = options.fiber.getRef(RequestContext)
    const span = Context.getOrUndefined(options.fiber.context, Tracer.ParentSpan)
    const trace = span ?? request?.trace
    return {
      timestamp: options.date.toISOString(),
      level: options.logLevel.toLowerCase(),
      logger: String(logger),
      message: texts.join(" "),
      operation: operation ?? (span?._tag === "Span" ? span.name : request === undefined ? "process" : "request"),
      service,
      data,
      requestId: request?.requestId,
      traceId: trace?.traceId,
      spanId: trace?.spanId
    }
  })

const colours: Record<string, number> = { trace: 90, debug: 90, info: 32, warn: 33, error: 31, fatal: 35 }

const pretty = (line: ReturnType<ReturnType<typeof entry>["log"]>) => {
  const { cause, ...data } = line.data
  const details = Object.keys(data).length === 0 ? "" : ` \u001b[90m${stringify(data)}\u001b[0m`
  const id = line.requestId === undefined ? "" : ` \u001b[90m[${line.requestId}]\u001b[0m`
  const head = `${line.timestamp.slice(11, 23)} \u001b[${colours[line.level] ?? 0}m${line.level.padEnd(5)}\u001b[0m`
  return `${head} ${line.service.padEnd(10)} ${line.message}${details}${id}${cause === undefined ? "" : `\n${cause}`}`
}

/** One JSON object a line on standard output, or readable lines on a terminal. */
export const layer = (options: LoggingOptions) => {
  const stream = options.stream ?? process.stdout
  const asPretty = options.format === "pretty" || (options.format === "auto" && stream.isTTY === true)
  const lines = Logger.map(entry(options.service), (line) => (asPretty ? pretty(line) : stringify(line)))
  const print = Logger.map(lines, (line) => {
    stream.write(`${line}\n`)
  })
  return Layer.mergeAll(Logger.layer([print]), Layer.succeed(References.MinimumLogLevel, options.level))
}
