import { Command, CommandName } from "@opsbuddy/contract/Utility"
import { Context, Effect, FileSystem, Layer } from "effect"

/** The commands that may be run; nothing else ever is. They do not change while the program runs. */
export class CommandCatalogue extends Context.Service<
  CommandCatalogue,
  {
    /** In the order of their names. */
    readonly commands: ReadonlyArray<Command>
  }
>()("@opsbuddy/utility/CommandCatalogue") {
  /** These commands and no others. */
  static readonly layerOf = (commands: ReadonlyArray<Command>) => Layer.succeed(CommandCatalogue, { commands })

  /** `date`, `df` and `uptime`: harmless, and they change nothing. */
  static readonly layer = Layer.effect(
    CommandCatalogue,
    Effect.gen(function* () {
      const commands = yield* Effect.forEach(builtIn, ({ description, name, program, rest }) =>
        Effect.map(locate(program), (path) => {
          return new Command({ name: CommandName.make(name), description, argv: [path, ...rest], timeoutMillis: 5000 })
        })
      )
      return { commands }
    })
  )
}

const builtIn = [
  { name: "date", description: "the machine's date and time, in UTC", program: "date", rest: ["-u"] },
  { name: "df", description: "space on each file system, in blocks of 1024 bytes", program: "df", rest: ["-P", "-k"] },
  { name: "uptime", description: "how long the machine has been up, and its load", program: "uptime", rest: [] }
]

/** Where systems keep their programs. `PATH` is not asked: it is the caller's, and may name a folder that others write. */
const folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/run/current-system/sw/bin"]

/** The program's absolute path. One that is nowhere stays in the catalogue, and a run of it says that it is missing. */
const locate = Effect.fnUntraced(function* (program: string) {
  const fs = yield* FileSystem.FileSystem
  for (const folder of folders) {
    const path = `${folder}/${program}`
    if (yield* Effect.orElseSucceed(fs.exists(path), () => false)) return path
  }
  yield* Effect.logWarning("a program of the catalogue is missing", { program, folders })
  return `${folders[0]}/${program}`
})
