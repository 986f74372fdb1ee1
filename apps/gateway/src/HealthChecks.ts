import { Clock, Duration, Effect, FiberMap, Latch, Random, Schema } from "effect"
import { HttpClient, type HttpClientResponse } from "effect/http"
import type { Events } from "./Events.ts"
import type { HealthConfig } from "./GatewayConfig.ts"
import type { Target } from "./Target.ts"
import type { Upstream } from "./Upstream.ts"

/** A target that does not pass is asked this often, where that is sooner. */
const whileFailing = Duration.seconds(1)
/** One that has never passed may be starting together with the gateway: it is asked this often, up to `atFirst` times. */
const whileStarting = Duration.millis(100)
const atFirst = 50
/** When requests tell that a target is not as it was when it was asked. */
const soon = Duration.millis(25)

const Answer = Schema.Struct({ status: Schema.Literals(["healthy", "degraded", "unhealthy"]) })

/** What a target says of itself where it says so in OpsBuddy's form; any answer below 400 passes. */
const verdict = Effect.fnUntraced(function* (response: HttpClientResponse.HttpClientResponse) {
  const said = yield* response.json.pipe(Effect.flatMap(Schema.decodeUnknownEffect(Answer)), Effect.option)
  const passed = response.status < 400
  const detail = said._tag === "Some" ? said.value.status : `status ${response.status}`
  return { passed, detail }
})

/** What is said of a target where nothing listens, or what listens hangs up. */
const unreachable = "connection failed"

const failed = (detail: string) => Effect.succeed({ passed: false, detail })

const ask = (client: HttpClient.HttpClient, url: string, timeout: Duration.Duration) =>
  client.get(url).pipe(
    Effect.flatMap(verdict),
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => failed(`no answer within ${Duration.toMillis(timeout)} ms`)
    }),
    Effect.catch((error) => failed(error.reason._tag === "TransportError" ? unreachable : error.message))
  )

/**
 * Notes what a check found. A target that was not checked yet is taken at its word; another changes its state after as many
 * checks in a row as the configuration says.
 */
const note = (target: Target, passed: boolean, health: HealthConfig) => {
  const says = passed ? "healthy" : "failing"
  if (target.checked === says) target.contradictions = 0
  else if (target.checked === "unknown") target.checked = says
  else if (++target.contradictions >= (passed ? health.healthyAfter : health.unhealthyAfter)) {
    target.checked = says
    target.contradictions = 0
  }
}

/** Asks one target, notes the answer, and lets an open circuit try again as soon as the target passes. */
const check = Effect.fnUntraced(function* (
  client: HttpClient.HttpClient,
  upstream: Upstream,
  target: Target,
  health: HealthConfig,
  events: Events["Service"]
) {
  const { detail, passed } = yield* ask(client, `${target.id}${health.path}`, health.timeout)
  const at = yield* Clock.currentTimeMillis
  const who = { upstream: upstream.config.name, target: target.id }
  const before = target.checked
  const isBack = passed && target.detail === unreachable
  note(target, passed, health)
  target.detail = detail
  target.checkedAt = at
  if (isBack || before !== target.checked) upstream.changed()
  if (isBack || (before === "failing" && target.checked === "healthy")) {
    // It has begun anew: what it failed before says nothing any more.
    if (upstream.outliers.ejection(target, at) !== undefined) {
      events.add({ kind: "target-restored", ...who, cause: `it answers its health check again: ${detail}` }, at)
    }
    upstream.outliers.restore(target)
    target.failuresInRow = 0
  }
  if (before !== target.checked) {
    const change = { ...who, from: before, to: target.checked }
    events.add({ kind: "target-health-changed", ...change, cause: detail }, at)
    // At the start services come up one by one: only a target that was well and is not any more is worth a warning.
    yield* target.checked === "healthy"
      ? Effect.logInfo("target passes its health check", { ...change, detail })
      : Effect.logWithLevel(before === "unknown" ? "Debug" : "Warn")("target fails its health check", {
          ...change,
          detail
        })
  }
  if (passed) upstream.breaker.halfOpen(at, `target ${target.id} passes its health check`)
  return passed
})

/** Checks a target again and again. */
const checkForever = (
  client: HttpClient.HttpClient,
  upstream: Upstream,
  target: Target,
  health: HealthConfig,
  events: Events["Service"]
) => {
  let first = atFirst
  const delay = (passed: boolean) => {
    if (passed) first = 0
    if (passed) return health.every
    return Duration.min(health.every, first-- > 0 ? whileStarting : whileFailing)
  }
  return Effect.gen(function* () {
    const wake = yield* Latch.make(false)
    target.recheck = () => wake.openUnsafe()
    const woken = Effect.andThen(wake.await, Effect.sleep(soon))
    const once = Effect.gen(function* () {
      const passed = yield* check(client, upstream, target, health, events)
      yield* wake.close
      const jitter = yield* Random.nextBetween(0.8, 1.2)
      yield* Effect.raceFirst(Effect.sleep(Duration.times(delay(passed), jitter)), woken)
    })
    return yield* Effect.forever(once)
  })
}

/** Makes a function that checks the present targets of an upstream, from each call on those of that moment, until the scope closes. */
export const make = Effect.fnUntraced(function* (upstream: Upstream, events: Events["Service"]) {
  const client = yield* HttpClient.HttpClient
  const fibers = yield* FiberMap.make<string>()
  const { health } = upstream.config
  return Effect.fnUntraced(function* () {
    if (health === undefined) return
    const present = new Set(upstream.targets.map(({ id }) => id))
    for (const [id] of fibers) if (!present.has(id)) yield* FiberMap.remove(fibers, id)
    for (const target of upstream.targets) {
      yield* FiberMap.run(fibers, target.id, checkForever(client, upstream, target, health, events), {
        onlyIfMissing: true
      })
    }
  })
})
