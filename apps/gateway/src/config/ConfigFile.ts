import { createHash } from "node:crypto"
import { Data, Effect, FileSystem, type PlatformError, Result, Schema } from "effect"
import type { GatewayConfig } from "../GatewayConfig.ts"
import { type ConfigDocument, Rest, type Route, type Upstream } from "./ConfigDocument.ts"
import * as Effective from "./Effective.ts"
import type { Item } from "./Item.ts"
import { located, type Mapping, plain } from "./Located.ts"
import { type Mistake, ordered, place, show } from "./Mistake.ts"
import { read } from "./Parts.ts"
import * as Resolve from "./Resolve.ts"
import { duplicateFaults, referenceFaults, routeFaults } from "./RouteRules.ts"
import { upstreamFaults } from "./UpstreamRules.ts"
import * as Yaml from "./Yaml.ts"

/** What a configuration file gives. */
export interface Loaded {
  readonly config: GatewayConfig
  /** By name: an upstream or a route with the same fingerprint as before is the same in every setting. */
  readonly fingerprints: {
    readonly upstreams: ReadonlyMap<string, string>
    readonly routes: ReadonlyMap<string, string>
  }
  readonly effective: Effective.Effective
}

/** All that is wrong with a configuration file, a line each, at most 100. */
export class InvalidConfig extends Data.TaggedError("InvalidConfig")<{ readonly mistakes: ReadonlyArray<Mistake> }> {
  /** `EX_CONFIG` of sysexits.h, where the program cannot start for it. */
  readonly exitCode = 78
  override get message() {
    return ["the configuration file is not valid:", ...this.mistakes.map((mistake) => `  ${show(mistake)}`)].join("\n")
  }
}

/** Reads a file and decodes it. That it cannot be read is a mistake too. */
export const load = Effect.fn("ConfigFile.load")(function* (
  file: string,
  builtIn: ConfigDocument
): Effect.fn.Return<Loaded, InvalidConfig, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const mistaken = (reason: string) => new InvalidConfig({ mistakes: [{ file, line: 1, column: 1, path: "", reason }] })
  const unreadable = ({ reason }: PlatformError.PlatformError) =>
    mistaken(reason._tag === "NotFound" ? "is not there" : `cannot be read: ${reason.message}`)
  const { size, type } = yield* Effect.mapError(fs.stat(file), unreadable)
  if (type !== "File") return yield* mistaken("is not a file")
  if (size > Yaml.maxBytes) return yield* mistaken(Yaml.tooLarge)
  const text = yield* Effect.mapError(fs.readFileString(file), unreadable)
  return yield* Effect.fromResult(decode({ file, text }, builtIn)).pipe(
    Effect.mapError((mistakes) => new InvalidConfig({ mistakes }))
  )
})

/**
 * Decodes the text of a file over the built-in document: by name, the file's upstreams and routes replace those that are
 * built in. Fails with all mistakes at once; where the text is no YAML, with those of the notation alone. Rules between
 * the settings of an upstream or a route are applied when each of them is well formed.
 */
export const decode = (source: Yaml.Source, builtIn: ConfigDocument): Result.Result<Loaded, ReadonlyArray<Mistake>> => {
  const { mistakes, root } = Yaml.parse(source)
  if (root === undefined) return Result.fail(mistakes)
  const roots = { file: root, "built-in": located(builtIn, { from: "built-in" }) }
  const given = read(roots["built-in"], "built-in", [])
  const written = read(root, "file", given.upstreams)
  const upstreams = merge(written.upstreams, given.upstreams)
  const routes = merge(written.routes, given.routes)
  const byName = new Map(upstreams.map((upstream) => [upstream.name, upstream]))
  const names = { upstreams: given.upstreams.map((_) => _.name), routes: given.routes.map((_) => _.name) }

  const faults = [
    ...written.faults,
    ...given.faults,
    ...upstreams.flatMap((upstream) => upstreamFaults(upstream, names.upstreams)),
    ...routes.flatMap((route) => routeFaults(route, names.routes)),
    ...active(routes).flatMap((route) => referenceFaults(route, byName)),
    ...duplicateFaults(active(routes))
  ]
  return mistakes.length === 0 && faults.length === 0
    ? Result.succeed(loaded(active(upstreams), active(routes), Effective.rest(root)))
    : Result.fail(ordered([...mistakes, ...place(faults, roots, source.file)]))
}

const loaded = (
  upstreams: ReadonlyArray<Item<Upstream>>,
  routes: ReadonlyArray<Item<Route>>,
  rest: Mapping
): Loaded => {
  const { rateLimits, trustedProxies } = decodeRest(plain(rest))
  const config = {
    upstreams: upstreams.map((item) => Resolve.upstream(item.name, valuesOf(item))),
    routes: routes.map((item) => Resolve.route(valuesOf(item))),
    trustedProxies,
    rateLimits: { redis: rateLimits.redis, whenGone: rateLimits.whenGone }
  }
  return {
    config,
    fingerprints: { upstreams: fingerprints(config.upstreams), routes: fingerprints(config.routes) },
    effective: Effective.effective(
      upstreams.map(({ effective, name }) => [name, effective]),
      routes.map(({ effective }) => effective),
      rest
    )
  }
}

const decodeRest = Schema.decodeUnknownSync(Rest)

const active = <Filled>(items: ReadonlyArray<Item<Filled>>) => items.filter(({ disabled }) => !disabled)

/** Those of the file, and then those that are built in and that the file has none of the same name for. */
const merge = <Filled>(written: ReadonlyArray<Item<Filled>>, builtIn: ReadonlyArray<Item<Filled>>) => {
  const names = new Set(written.map(({ name }) => name))
  return [...written, ...builtIn.filter(({ name }) => !names.has(name))]
}

/** Of an item that nothing is wrong with. */
const valuesOf = <Filled>({ filled, name }: Item<Filled>): Filled => {
  if (filled === undefined) throw new Error(`${name} is valid and yet does not decode`)
  return filled
}

const fingerprints = (items: ReadonlyArray<{ readonly name: string }>) =>
  new Map(
    items.map((item) => [item.name, createHash("sha256").update(JSON.stringify(item)).digest("base64url").slice(0, 16)])
  )
