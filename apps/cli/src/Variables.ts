import { type ServiceName, serviceNames } from "@opsbuddy/contract/Wire"
import { Console, Effect, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { Programs } from "./Programs.ts"
import { Unavailable } from "./Refusals.ts"

/** A variable as an app lists it: `Listed` of the runtime. */
const Listed = Schema.Struct({
  name: Schema.String,
  description: Schema.String,
  default: Schema.optionalKey(Schema.String),
  required: Schema.Boolean,
  secret: Schema.Boolean,
  value: Schema.optionalKey(Schema.String),
  problem: Schema.optionalKey(Schema.String)
})
type Listed = typeof Listed.Type

/** A variable, and the services that read it in this way. */
export interface Shared extends Listed {
  readonly services: ReadonlyArray<ServiceName>
}

const decode = Schema.decodeEffect(Schema.fromJsonString(Schema.Array(Listed)))

const listOf = Effect.fnUntraced(function* (service: ServiceName) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const [program, ...args] = (yield* Programs)(service)
  const listed = yield* spawner
    .string(ChildProcess.make(program, [...args, "env"], { stdin: "ignore", stderr: "inherit" }))
    .pipe(
      Effect.flatMap(decode),
      Effect.mapError(
        (error) => new Unavailable({ reason: `${service} does not tell its variables: ${error.message}` })
      )
    )
  return listed.map((variable): Shared => ({ ...variable, services: [service] }))
})

/** Puts variables that are the same in several services together; one that differs in anything stays apart. */
export const merge = (variables: ReadonlyArray<Shared>): ReadonlyArray<Shared> => {
  const merged = new Map<string, Shared>()
  for (const variable of variables) {
    const key = JSON.stringify({ ...variable, services: [] })
    const before = merged.get(key)
    merged.set(
      key,
      before === undefined ? variable : { ...before, services: [...before.services, ...variable.services] }
    )
  }
  return [...merged.values()].sort((a, b) => b.services.length - a.services.length)
}

const readers = ({ services }: Shared) => (services.length === serviceNames.length ? "all" : services.join(", "))

/** A paragraph a variable: name, who reads it and what it means, then its default, present value and what is wrong. */
export const asText = (variables: ReadonlyArray<Shared>) =>
  variables
    .map((variable) =>
      [
        `${variable.problem === undefined ? " " : "!"} ${variable.name}  (${readers(variable)})`,
        `    ${variable.description}`,
        `    default: ${variable.default ?? (variable.required ? "none, it is required" : "none")}`,
        `    value:   ${variable.value ?? "not set"}`,
        ...(variable.problem === undefined ? [] : [`    NOT VALID: ${variable.problem}`])
      ].join("\n")
    )
    .join("\n")

/** Prints every variable of every app, from the declarations that the apps read. */
export const command = Command.make(
  "env",
  { json: Flag.Boolean("json").pipe(Flag.withDescription("Print JSON"), Flag.withDefault(false)) },
  Effect.fnUntraced(function* ({ json }) {
    const lists = yield* Effect.forEach(serviceNames, listOf, { concurrency: "unbounded" })
    const variables = merge(lists.flat())
    yield* Console.log(json ? JSON.stringify(variables, null, 2) : asText(variables))
  })
).pipe(Command.withDescription("Print every environment variable: who reads it, meaning, default, present value"))
