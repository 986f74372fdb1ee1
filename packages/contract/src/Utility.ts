import { Effect, Schema, SchemaIssue } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, OpenApi } from "effect/http-api"
import { conditionalHeaders, documentEtag } from "./Conditional.ts"
import { Authentication, RequestDecoding } from "./Identity.ts"
import { bodyProblems, PreconditionFailed, problemMembers, problemPrefix, storeProblems } from "./Problems.ts"
import { page, paging, strictRequests, Timestamp } from "./Wire.ts"

/** The machine that the utility service runs on. Sizes are in bytes, times in seconds. */
export const SystemInfo = Schema.Struct({
  hostname: Schema.String,
  platform: Schema.String,
  release: Schema.String,
  architecture: Schema.String,
  uptime: Schema.Finite,
  timestamp: Timestamp,
  cpu: Schema.Struct({
    model: Schema.String,
    count: Schema.Int,
    /** Averages of 1, 5 and 15 minutes. */
    load: Schema.Array(Schema.Finite)
  }),
  memory: Schema.Struct({ total: Schema.Int, available: Schema.Int, used: Schema.Int }),
  disks: Schema.Array(
    Schema.Struct({
      device: Schema.String,
      mount: Schema.String,
      type: Schema.String,
      total: Schema.Int,
      available: Schema.Int,
      used: Schema.Int
    })
  ),
  network: Schema.Array(Schema.Struct({ interface: Schema.String, addresses: Schema.Array(Schema.String) }))
})
export type SystemInfo = typeof SystemInfo.Type

/** 1 to 128 of `A-Z a-z 0-9 . _ -`. */
export const ConfigKey = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9._-]{1,128}$/, { expected: "1 to 128 of A-Z a-z 0-9 . _ -" })
).pipe(Schema.brand("ConfigKey"))
export type ConfigKey = typeof ConfigKey.Type

/** How deep arrays and objects of a configuration may be nested. */
export const maxConfigDepth = 64

/** Why a value cannot be a configuration, and where. */
interface Misfit {
  readonly path: ReadonlyArray<string | number>
  readonly message: string
}

const misfitLeaf = (value: unknown) => {
  if (value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value))
    return undefined
  return typeof value === "number" ? "larger than a double can hold" : "not JSON"
}

/** The first misfit. Walks without recursion and never below the depth that is allowed, however deep the value is. */
const misfit = (root: unknown): Misfit | undefined => {
  const todo: Array<{ readonly path: Misfit["path"]; readonly value: unknown }> = [{ path: [], value: root }]
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const { path, value } = next
    if (typeof value !== "object" || value === null) {
      const message = misfitLeaf(value)
      if (message !== undefined) return { path, message }
      continue
    }
    if (path.length === maxConfigDepth) return { path, message: `nested deeper than ${maxConfigDepth} levels` }
    for (const key of Array.isArray(value) ? value.keys() : Object.keys(value)) {
      const item: unknown = Reflect.get(value, key)
      // Most values are leaves that fit; only the others need their path.
      if (typeof item === "object" || misfitLeaf(item) !== undefined) todo.push({ path: [...path, key], value: item })
    }
  }
  return undefined
}

/**
 * Any JSON, nested up to `maxConfigDepth` deep, without two equal keys in one object. The service keeps and gives back each digit of
 * a number, of which a reader in JavaScript sees the nearest double. A declaration of its own, because `Schema.Json` does not tell
 * where it does not fit, and walks all of a value before a check can refuse it.
 */
export const ConfigValue = Schema.declareConstructor<Schema.Json>()(
  [],
  () => (input, _, options) => {
    const found = misfit(input)
    // `misfit` has just seen that it is JSON.
    if (found === undefined) return Effect.succeed(input as Schema.Json)
    const issue = new SchemaIssue.InvalidValue({ message: found.message }, input, options)
    return Effect.fail(found.path.length === 0 ? issue : new SchemaIssue.Pointer(found.path, issue))
  },
  Schema.Json.ast.annotations
)

/** A value as a client reads it; a number that is larger than a double can hold is infinite there. */
const ReadValue = Schema.declare((_: unknown): _ is Schema.Json => true, Schema.Json.ast.annotations)

/**
 * A named JSON value. `version` starts at 1 and grows by 1 with each change, also with one after a removal: no two values of a key
 * ever have the same. In quotes it is the entry's `ETag`.
 */
export class ConfigEntry extends Schema.Class<ConfigEntry>("ConfigEntry")({
  key: ConfigKey,
  value: ReadValue,
  version: Schema.Int,
  modifiedAt: Timestamp,
  modifiedBy: Schema.String
}) {}

export class ConfigNotFound extends HttpApiError.Problem<ConfigNotFound>()(
  "ConfigNotFound",
  { type: `${problemPrefix}config-not-found`, status: 404, title: "No such configuration" },
  { ...problemMembers, key: ConfigKey }
) {}

export const CommandName = Schema.String.check(
  Schema.isPattern(/^[a-z][a-z0-9-]{0,63}$/, { expected: "a lower-case letter, then up to 63 of a-z 0-9 -" })
).pipe(Schema.brand("CommandName"))
export type CommandName = typeof CommandName.Type

/** A command of the catalogue. `argv` is run as it stands, without a shell. */
export class Command extends Schema.Class<Command>("Command")({
  name: CommandName,
  description: Schema.String,
  argv: Schema.NonEmptyArray(Schema.String),
  timeoutMillis: Schema.Int
}) {}

/** One output of a run: the first bytes up to the cap as text, and how many bytes there were up to the end of the run. */
export const CommandOutput = Schema.Struct({ text: Schema.String, bytes: Schema.Int, truncated: Schema.Boolean })

/** What a run did. `outcome` is `exited` (see `exitCode`), `timed-out`, `output-limit` or `signalled`. */
export class CommandRun extends Schema.Class<CommandRun>("CommandRun")({
  id: Schema.String.check(Schema.isUUID(7)),
  command: CommandName,
  startedAt: Timestamp,
  startedBy: Schema.String,
  durationMillis: Schema.Finite,
  outcome: Schema.Literals(["exited", "timed-out", "output-limit", "signalled"]),
  exitCode: Schema.NullOr(Schema.Int),
  signal: Schema.NullOr(Schema.String),
  stdout: CommandOutput,
  stderr: CommandOutput
}) {}

export class CommandNotFound extends HttpApiError.Problem<CommandNotFound>()(
  "CommandNotFound",
  { type: `${problemPrefix}command-not-found`, status: 404, title: "No such command in the catalogue" },
  { ...problemMembers, name: CommandName }
) {}

/** The program of the command could not be started: it is missing, or the system refused. */
export class CommandNotStarted extends HttpApiError.Problem<CommandNotStarted>()(
  "CommandNotStarted",
  { type: `${problemPrefix}command-not-started`, status: 503, title: "The command could not be started" },
  { ...problemMembers, name: CommandName }
) {}

/** Too many runs at once; nothing was started. `retryAfter` is whole seconds and equals the `Retry-After` header. */
export class TooManyRuns extends HttpApiError.Problem<TooManyRuns>()(
  "TooManyRuns",
  { type: `${problemPrefix}too-many-runs`, status: 503, title: "Too many commands are running" },
  { ...problemMembers, limit: Schema.Int, retryAfter: Schema.Int }
) {}

export class UtilityApi extends HttpApiGroup.make("utility")
  .add(
    HttpApiEndpoint.get("system", "/system/info", { success: SystemInfo }),
    HttpApiEndpoint.get("listConfigs", "/configs", {
      query: { ...paging, prefix: Schema.optionalKey(Schema.String) },
      success: page(ConfigEntry),
      error: storeProblems
    }),
    HttpApiEndpoint.get("getConfig", "/configs/:key", {
      params: { key: ConfigKey },
      success: ConfigEntry,
      error: [ConfigNotFound, PreconditionFailed, ...storeProblems]
    }).annotate(OpenApi.Transform, documentEtag),
    HttpApiEndpoint.put("setConfig", "/configs/:key", {
      params: { key: ConfigKey },
      headers: conditionalHeaders,
      /** The value itself. */
      payload: ConfigValue,
      success: ConfigEntry,
      error: [PreconditionFailed, ...bodyProblems, ...storeProblems]
    }).annotate(OpenApi.Transform, documentEtag),
    HttpApiEndpoint.delete("removeConfig", "/configs/:key", {
      params: { key: ConfigKey },
      headers: conditionalHeaders,
      error: [ConfigNotFound, PreconditionFailed, ...storeProblems]
    }),
    HttpApiEndpoint.get("listCommands", "/commands", { success: Schema.Struct({ items: Schema.Array(Command) }) }),
    HttpApiEndpoint.post("runCommand", "/commands/:name/run", {
      params: { name: CommandName },
      success: CommandRun,
      error: [CommandNotFound, CommandNotStarted, TooManyRuns]
    })
  )
  .prefix("/api/utils")
  .middleware(Authentication)
  .middleware(RequestDecoding)
  .annotateMerge(strictRequests)
  .annotateMerge(
    OpenApi.annotations({ title: "Utility", description: "System information, configurations and commands" })
  ) {}
