import { ConfigProvider, Effect, FileSystem, Layer, Path } from "effect"

const dotEnv = Effect.fnUntraced(function* (folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.join(folder, ".env")
  if (!(yield* fs.exists(file))) return undefined
  return ConfigProvider.fromDotEnvContents(yield* fs.readFileString(file))
})

/**
 * Where variables come from, first match wins: the process environment, `.env` in the app's folder, `.env` in the
 * working directory. Bun's own reading of `.env` is off (`bunfig.toml`), so Bun and Node see the same.
 */
export const layer = (appFolder: string) =>
  Layer.effect(
    ConfigProvider.ConfigProvider,
    Effect.gen(function* () {
      const path = yield* Path.Path
      const folders = new Set([path.resolve(appFolder), path.resolve(".")])
      let provider = ConfigProvider.fromEnv()
      for (const folder of folders) {
        const file = yield* dotEnv(folder)
        if (file !== undefined) provider = ConfigProvider.orElse(provider, file)
      }
      return provider
    })
  )
