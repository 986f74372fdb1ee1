import { Config, ConfigProvider, Data, Effect, Option, type Redacted, Result, Schema, SchemaIssue } from "effect"

/** One environment variable: declared once, read at the start, and listed by `opsbuddy env`. */
export interface Variable<A> {
  readonly name: string
  readonly description: string
  readonly config: Config.Config<A>
  /** What holds when the variable is absent, as it would be written; `undefined` when it is required, or may be absent. */
  readonly fallback: string | undefined
  readonly required: boolean
  readonly secret: boolean
}

/** The variables of an app, by the name that the code knows them by. */
export type Variables = Readonly<Record<string, Variable<unknown>>>

/** The values of those variables. */
export type Values<V extends Variables> = { readonly [K in keyof V]: V[K] extends Variable<infer A> ? A : never }

/** A variable as `opsbuddy env` shows it. `value` is what is set, hidden when secret; absent when nothing is. */
export interface Listed {
  readonly name: string
  readonly description: string
  readonly default?: string
  readonly required: boolean
  readonly secret: boolean
  readonly value?: string
  readonly problem?: string
}

/** Everything that is wrong with the environment, a line each. Ends a start with exit code 78 (`EX_CONFIG`). */
export class InvalidEnvironment extends Data.TaggedError("InvalidEnvironment")<{
  readonly problems: ReadonlyArray<{ readonly name: string; readonly reason: string }>
}> {
  readonly exitCode = 78
  override get message() {
    return ["the environment is not valid:", ...this.problems.map((_) => `  ${_.name}: ${_.reason}`)].join("\n")
  }
}

/** Declares a variable; `fallback` is written as a user would write it, so it is checked and shown like a set value. */
export const variable = <A>(
  name: string,
  config: (name: string) => Config.Config<A>,
  options: { readonly description: string; readonly fallback?: string }
): Variable<A> => ({
  name,
  description: options.description,
  config: config(name),
  fallback: options.fallback,
  required: options.fallback === undefined,
  secret: false
})

/** Declares a variable that may be absent, and then is `undefined`. */
export const optional = <A>(
  name: string,
  config: (name: string) => Config.Config<A>,
  options: { readonly description: string; readonly secret?: boolean }
): Variable<A | undefined> => ({
  name,
  description: options.description,
  config: Config.map(Config.option(config(name)), Option.getOrUndefined),
  fallback: undefined,
  required: false,
  secret: options.secret ?? false
})

/** Declares a variable whose value is never shown. */
export const secret = (
  name: string,
  options: { readonly description: string; readonly fallback?: string }
): Variable<Redacted.Redacted> => ({ ...variable(name, Config.Redacted, options), secret: true })

const withFallback = Effect.fnUntraced(function* (
  declared: Variable<unknown>,
  provider: ConfigProvider.ConfigProvider
) {
  const set = yield* isSet(declared, provider)
  if (set || declared.fallback === undefined) return provider
  return ConfigProvider.fromEnvRecord({ [declared.name]: declared.fallback })
})

const isSet = (declared: Variable<unknown>, provider: ConfigProvider.ConfigProvider) =>
  Config.option(Config.String(declared.name)).pipe(
    Effect.map((value) => value._tag === "Some"),
    Effect.provideService(ConfigProvider.ConfigProvider, provider),
    Effect.orElseSucceed(() => false)
  )

const read = Effect.fnUntraced(function* <A>(declared: Variable<A>, provider: ConfigProvider.ConfigProvider) {
  if (declared.required && !(yield* isSet(declared, provider))) {
    return Result.fail("is required and not set")
  }
  const source = yield* withFallback(declared, provider)
  return yield* declared.config.pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, source),
    Effect.mapError(reason),
    Effect.result
  )
})

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** Why a value is not taken, without its name, which stands beside. */
const reason = ({ cause }: Config.ConfigError) =>
  Schema.isSchemaError(cause)
    ? format(cause.issue)
        .issues.map(({ message }) => message)
        .join("; ")
    : cause.message

/** Reads all variables from the current `ConfigProvider`; fails with all that is wrong at once. */
export const load = Effect.fnUntraced(function* <const V extends Variables>(
  variables: V
): Effect.fn.Return<Values<V>, InvalidEnvironment> {
  const provider = yield* ConfigProvider.ConfigProvider
  const values: Record<string, unknown> = {}
  const problems: Array<{ name: string; reason: string }> = []
  for (const [key, declared] of Object.entries(variables)) {
    const result = yield* read(declared, provider)
    if (Result.isSuccess(result)) values[key] = result.success
    else problems.push({ name: declared.name, reason: result.failure })
  }
  if (problems.length > 0) return yield* new InvalidEnvironment({ problems })
  // The loop has put a value of the declared type under each key.
  return values as Values<V>
})

/** Lists all variables with their present values, secrets hidden. */
export const list = Effect.fnUntraced(function* (variables: Variables): Effect.fn.Return<ReadonlyArray<Listed>> {
  const provider = yield* ConfigProvider.ConfigProvider
  const listed: Array<Listed> = []
  for (const declared of Object.values(variables)) {
    const raw = yield* Config.option(Config.String(declared.name)).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, provider),
      Effect.map((value) => (value._tag === "Some" ? value.value : undefined)),
      Effect.orElseSucceed(() => undefined)
    )
    const result = yield* read(declared, provider)
    listed.push({
      name: declared.name,
      description: declared.description,
      required: declared.required,
      secret: declared.secret,
      ...(declared.fallback === undefined ? {} : { default: declared.fallback }),
      ...(raw === undefined ? {} : { value: declared.secret ? "<hidden>" : raw }),
      ...(Result.isFailure(result) ? { problem: result.failure } : {})
    })
  }
  return listed
})
