import type { Ready } from "./Supervisor.ts"

/** The one line of `--json`. */
export const asJson = (services: ReadonlyArray<Ready>) => JSON.stringify({ ready: true, services })

/** A line a service, and where to go next. `tookMillis` is from the start of this program. */
export const asText = (services: ReadonlyArray<Ready>, tookMillis: number) => {
  const width = (of: (ready: Ready) => string) => Math.max(...services.map((ready) => of(ready).length))
  const urls = width((ready) => ready.url)
  const storages = width(storageOf)
  const lines = services.map((ready) =>
    [
      ready.name.padEnd(10),
      ready.url.padEnd(urls),
      storageOf(ready).padEnd(storages),
      `ready in ${Math.round(ready.readyMillis)} ms`
    ].join("  ")
  )
  const gateway = services.find(({ name }) => name === "gateway")
  const [first] = gateway === undefined ? services : [gateway]
  const where = first?.url.replace("//127.0.0.1:", "//localhost:")
  return [
    "",
    ...lines,
    "",
    `OpsBuddy is ready after ${Math.round(tookMillis)} ms. Go on at ${where}/docs and ${where}/status. Ctrl-C stops it.`,
    ""
  ].join("\n")
}

const storageOf = ({ storage }: Ready) => (storage === undefined ? "no storage" : `${storage.kind} ${storage.location}`)
