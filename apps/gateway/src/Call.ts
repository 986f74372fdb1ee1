import { UpgradeNotSupported } from "@opsbuddy/contract/Gateway"
import { InternalError, MethodNotAllowed, NoRoute, UriTooLong } from "@opsbuddy/contract/Problems"
import type { Permit } from "@opsbuddy/resilience/Breaker"
import * as Retry from "@opsbuddy/resilience/Retry"
import { Cause, Duration, Effect, Exit, type Fiber } from "effect"
import { Account, type Attempt } from "./Account.ts"
import * as AccountText from "./AccountText.ts"
import * as Cors from "./Cors.ts"
import { type AttemptFailed, type Attempts, type Exchange, type Head, idempotent } from "./Exchange.ts"
import type { Gateway } from "./Gateway.ts"
import type { RouteLimitConfig } from "./GatewayConfig.ts"
import * as Key from "./Key.ts"
import * as Latency from "./Latency.ts"
import * as RateLimitHeaders from "./RateLimitHeaders.ts"
import * as Refusal from "./Refusal.ts"
import * as Route from "./Route.ts"
import * as RouteMetrics from "./RouteMetrics.ts"
import * as RouteTable from "./RouteTable.ts"
import * as SecurityHeaders from "./SecurityHeaders.ts"
import type { Target } from "./Target.ts"
import type { Waiting } from "./Ticker.ts"
import type { Upstream } from "./Upstream.ts"

/** What the client gets. `headers` of the call are added to whatever is sent. */
export type Answer =
  /** The upstream's, which the exchange has. */
  | { readonly _tag: "Upstream" }
  | { readonly _tag: "Refusal"; readonly refusal: Refusal.Refusal }
  /** An answer of the gateway's that is no refusal: a redirect, or a CORS preflight. */
  | { readonly _tag: "Local"; readonly status: number; readonly headers: ReadonlyArray<readonly [string, string]> }

const passedOn: Answer = { _tag: "Upstream" }

/** Answers that say that the server in front of the upstream, or the upstream itself, cannot serve at the moment. */
export const isFailure = (status: number) => status === 502 || status === 503 || status === 504

/**
 * Retries that the budget lends where another target is sound, as many as it can hold: one dead target of several must cost no
 * request, also of the first and of many at once. A dead upstream has no sound target, so it never sees more than its budget.
 */
const retryCredit = 100

/** Path and query have at most this many bytes, whatever the runtime's parser would take. */
export const maxUrl = 8192

/** `client-closed` is nginx's 499: the client left before there was an answer. */
const clientClosed = { status: 499, cause: "client-closed" }

/**
 * One request on its way through the policies of its route and upstream, from the outside in: rate limit, concurrency, circuit
 * breaker, deadline, retry. It is a plain state machine, because it is what every request costs: a request that meets no
 * obstacle runs through it without a fiber. What waits (the shared rate limit, the queue, the pause before a retry) is an
 * Effect. `done` is called once, unless the client leaves before.
 */
export class Call implements Attempts, Waiting {
  readonly account: Account
  /** Headers that the answer gets, whoever makes it. */
  readonly headers: Array<readonly [name: string, value: string]> = []
  readonly #gateway: Gateway["Service"]
  readonly #exchange: Exchange
  readonly #route: Route.Route
  readonly #done: (answer: Answer) => void
  readonly #tried: Array<Target> = []
  #permit: Permit | undefined
  #holdsPlace = false
  #attempt: Attempt | undefined
  /** When the attempt's time is up, in milliseconds of the monotonic clock. */
  dueAt = 0
  slot = -1
  #fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** It has its answer, or needs none any more. */
  #isAnswered = false
  #isComplete = false

  constructor(
    gateway: Gateway["Service"],
    found: Route.Route | RouteTable.MethodMismatch,
    exchange: Exchange,
    done: (answer: Answer) => void
  ) {
    this.#gateway = gateway
    this.#exchange = exchange
    this.#route = found instanceof RouteTable.MethodMismatch ? Route.none : found
    this.#done = done
    this.account = new Account(exchange, this.#route)
  }

  start(found: Route.Route | RouteTable.MethodMismatch) {
    this.#safely(() => this.#start(found))
  }

  get route() {
    return this.#route
  }

  /** The client is gone: ends what runs. After the answer's head the body ends by itself, and `ended` tells how. */
  clientGone() {
    if (this.#isAnswered) return
    this.#cancel()
    this.#permit?.end({ _tag: "Ignored" }, Date.now())
    if (this.#attempt !== undefined) this.#endAttempt(this.#attempt, clientClosed.cause)
    this.#answered(clientClosed.status, clientClosed.cause, undefined)
    this.#complete()
  }

  /** The answer's body has ended: whole, or early for the cause. */
  ended(responseBytes: number | undefined, cause?: string, detail?: string) {
    if (this.#isComplete) return
    this.account.responseBytes = responseBytes
    if (cause !== undefined) {
      this.account.cause = cause
      this.account.detail = detail
    }
    this.#complete()
  }

  #start(found: Route.Route | RouteTable.MethodMismatch) {
    const refused = this.#refusedAtOnce(found)
    if (refused !== undefined) return this.#refuse(refused)
    const { cors, limit, maxBody, redirect, securityHeaders } = this.#route.config
    if (securityHeaders) this.headers.push(...SecurityHeaders.all)
    if (cors !== undefined) {
      const preflight = Cors.preflight(cors, this.#exchange)
      if (preflight !== undefined) return this.#local(204, preflight)
      this.headers.push(...Cors.headers(cors, this.#exchange))
    }
    if (redirect !== undefined) return this.#local(redirect.status, [["location", redirect.to]])
    if (maxBody !== undefined && (this.#exchange.requestBytes ?? 0) > maxBody) {
      return this.#refuse(Refusal.tooLarge(maxBody))
    }
    if (limit !== undefined) return this.#takeFromLimit(limit)
    this.#enter()
  }

  #refusedAtOnce(found: Route.Route | RouteTable.MethodMismatch): Refusal.Refusal | undefined {
    const { ambiguity, method, path, url } = this.#exchange
    if (url.length > maxUrl) {
      return new UriTooLong({ limit: maxUrl, detail: `path and query have more than ${maxUrl} bytes` })
    }
    if (ambiguity !== undefined) return Refusal.ambiguous(ambiguity)
    if (found instanceof RouteTable.MethodMismatch) {
      const { allow } = found
      return new MethodNotAllowed({ allow, detail: `${path} serves ${allow.join(", ")}, not ${method}` })
    }
    if (found === Route.none) return new NoRoute({ detail: `nothing is served at ${path}` })
    if (RouteTable.isAmbiguous(path)) return Refusal.ambiguousPath()
    const { upgrade } = this.#exchange
    // HTTP/2 is an offer, and a server that does not take it goes on as if it had not come (RFC 9110, section 7.8).
    return upgrade === undefined || /^(websocket|h2c)$/i.test(upgrade)
      ? undefined
      : new UpgradeNotSupported({ detail: `a change to ${upgrade} ends at the gateway` })
  }

  #takeFromLimit(limit: RouteLimitConfig) {
    const key = Key.take(limit.by, this.#exchange)
    const { name } = this.#route.config
    // A limit that a reload has changed is counted anew.
    const bucket = `${name} ${limit.burst} ${limit.rate}/${Duration.toMillis(limit.per)} ${key}`
    this.#run(this.#gateway.limits.consume(bucket, limit), (exit) => {
      if (Exit.isSuccess(exit)) {
        const { remaining, store } = exit.value
        this.account.limit = { key, limit: exit.value.limit, remaining, store }
        this.headers.push(...RateLimitHeaders.of(name, limit, exit.value))
        return this.#enter()
      }
      const error = Cause.findErrorOption(exit.cause)
      if (error._tag === "None") return this.#defect(Cause.squash(exit.cause))
      if (error.value._tag === "RateLimitStoreGone") return this.#refuse(Refusal.limitUnavailable(name, error.value))
      this.account.limit = { key, limit: error.value.limit, remaining: 0, store: error.value.store }
      this.headers.push(...RateLimitHeaders.of(name, limit, { ...error.value, remaining: 0 }))
      this.#refuse(Refusal.rateLimited(name, key, error.value))
    })
  }

  /** Concurrency: at once where there is a place, otherwise after a wait in the queue. */
  #enter() {
    const { upstream } = this.#route
    if (upstream === undefined) return this.#defect(new Error(`route ${this.#route.config.name} leads nowhere`))
    const { active, queued } = upstream.concurrency.status()
    this.account.upstream = upstream.snapshot(this.account.at)
    this.account.active = active
    this.account.queued = queued
    this.#route.budget?.deposit()
    if (upstream.concurrency.tryAcquire()) return this.#admit(upstream)
    this.#run(upstream.concurrency.acquire, (exit) => {
      if (Exit.isSuccess(exit)) return this.#admit(upstream)
      const error = Cause.findErrorOption(exit.cause)
      if (error._tag === "Some") this.#refuse(Refusal.overloaded(upstream, error.value))
    })
  }

  #admit(upstream: Upstream) {
    this.#holdsPlace = true
    const now = Date.now()
    const admission = upstream.breaker.admit(now)
    if (!("end" in admission)) return this.#refuse(Refusal.circuitOpen(upstream, admission, now))
    this.#permit = admission
    this.#try(upstream)
  }

  /** Milliseconds that are left until the deadline of the whole request. */
  #remaining() {
    const { total, upload } = this.#route.timeouts
    return (this.#exchange.hasBody ? upload : total) - this.account.elapsed()
  }

  #try(upstream: Upstream) {
    const target = upstream.choose(Date.now(), Key.ofBalance(upstream.config.balance, this.#exchange), this.#tried)
    if (target === undefined) {
      this.#permit?.end({ _tag: "Ignored" }, Date.now())
      return this.#refuse(Refusal.noTarget(upstream))
    }
    this.#tried.push(target)
    target.requests++
    target.inFlight++
    const attempt: Attempt = {
      target,
      started: this.account.elapsed(),
      ended: undefined,
      outcome: "running",
      status: undefined,
      detail: undefined,
      previous: this.account.lastAttempt
    }
    this.account.lastAttempt = attempt
    this.#attempt = attempt
    const { attempt: limit, upload } = this.#route.timeouts
    const remaining = this.#remaining()
    const own = this.#exchange.hasBody ? upload : limit
    this.dueAt = performance.now() + Math.min(own, remaining)
    this.#gateway.ticker.add(this)
    this.#exchange.send(attempt, { route: this.#route, remainingMillis: remaining }, this)
  }

  answered(attempt: Attempt, head: Head) {
    const { upstream } = this.#route
    if (this.#attempt !== attempt || upstream === undefined) return
    this.#safely(() => this.#headCame(upstream, attempt, head))
  }

  failed(attempt: Attempt, error: AttemptFailed) {
    const { upstream } = this.#route
    if (this.#attempt !== attempt || upstream === undefined) return
    this.#safely(() => this.#attemptFailed(upstream, attempt, error))
  }

  #headCame(upstream: Upstream, attempt: Attempt, head: Head) {
    this.#endAttempt(attempt, "answered")
    attempt.status = head.status
    const { target } = attempt
    Latency.record(target.latency, (attempt.ended ?? 0) - attempt.started)
    if (!isFailure(head.status)) {
      target.failuresInRow = 0
      if (target.checked === "failing") target.recheck()
      upstream.outliers.succeeded(target)
      return this.#deliver(head, { _tag: "Success" })
    }
    const reason = `status ${head.status} from ${target.id}`
    this.#countFailure(upstream, target, reason)
    const mayRepeat = this.#mayRunTwice() && !this.#exchange.hasBody
    if (mayRepeat && this.#retryLater(upstream, head.retryAfterMillis)) return this.#exchange.discard()
    this.#deliver(head, { _tag: "Failure", reason })
  }

  #attemptFailed(upstream: Upstream, attempt: Attempt, error: AttemptFailed) {
    this.#endAttempt(attempt, error.reason, error.message)
    const refusal = Refusal.attemptFailed(upstream, attempt.target, error, this.#route.config.maxBody)
    if (error.reason !== "connect-failed" && error.reason !== "upstream-reset") {
      this.#permit?.end({ _tag: "Ignored" }, Date.now())
      return this.#refuse(refusal)
    }
    const isCounted = error.reason === "connect-failed" || this.#isNewReset(attempt)
    if (isCounted) this.#countFailure(upstream, attempt.target, refusal.detail ?? error.message)
    // Only then: a target that takes connections and fails may pass its checks all the same, which would close its circuit.
    if (error.reason === "connect-failed") attempt.target.recheck()
    // Where no connection was made nothing was sent, so that anything may be sent elsewhere.
    const mayRepeat = error.reason === "connect-failed" || (this.#mayRunTwice() && !this.#exchange.hasBody)
    if (mayRepeat && this.#retryLater(upstream, undefined)) return
    const reason = refusal.detail ?? error.message
    this.#permit?.end(isCounted ? { _tag: "Failure", reason } : { _tag: "Ignored" }, Date.now())
    this.#refuse(refusal)
  }

  /** The attempt takes too long. */
  due() {
    const { upstream } = this.#route
    const attempt = this.#attempt
    if (upstream !== undefined && attempt !== undefined) this.#safely(() => this.#timedOut(upstream, attempt))
  }

  #timedOut(upstream: Upstream, attempt: Attempt) {
    this.#attempt = undefined
    this.#exchange.abort()
    this.#endAttempt(attempt, "upstream-timeout")
    const { total, attempt: limit, upload } = this.#route.timeouts
    const isDeadline = !this.#exchange.hasBody && this.account.elapsed() >= total
    const millis = this.#exchange.hasBody ? upload : isDeadline ? total : limit
    const refusal = Refusal.attemptTimedOut(upstream, attempt.target, millis, isDeadline ? "total" : "attempt")
    attempt.detail = refusal.detail
    this.#countFailure(upstream, attempt.target, refusal.detail ?? "timeout")
    const mayRepeat = this.#mayRunTwice() && !this.#exchange.hasBody
    if (mayRepeat && this.#retryLater(upstream, undefined)) return
    this.#permit?.end({ _tag: "Failure", reason: refusal.detail ?? "timeout" }, Date.now())
    this.#refuse(refusal)
  }

  /**
   * Connections that break at one moment, because a process ended, are one failure of the target: of several resets those do
   * not count whose attempt began before the last one that did.
   */
  #isNewReset({ started, target }: Attempt) {
    if (this.account.started + started < target.lastReset) return false
    target.lastReset = performance.now()
    return true
  }

  #mayRunTwice() {
    return idempotent.has(this.#exchange.method) || this.#exchange.header("idempotency-key") !== undefined
  }

  #countFailure(upstream: Upstream, target: Target, reason: string) {
    target.failures++
    target.failuresInRow++
    const now = Date.now()
    const ejection = upstream.outliers.failed(target, upstream.targets, now)
    if (ejection === undefined) return
    upstream.changed()
    const { events, run } = this.#gateway
    events.ejected(upstream, target, ejection, reason, now)
    run(Effect.delay(events.restored(upstream, target, ejection), ejection.until - now))
  }

  /** Tries again after a pause, if attempts, budget and time allow it. */
  #retryLater(upstream: Upstream, retryAfterMillis: number | undefined) {
    const { retry } = this.#route
    const made = this.#tried.length
    if (made >= retry.attempts) return false
    const delay = Retry.delayMillis(retry, made, Math.random, retryAfterMillis)
    if (delay >= this.#remaining()) return false
    const credit = upstream.hasSoundTarget(this.#tried) ? retryCredit : 0
    if (this.#route.budget?.withdraw(credit) !== true) return false
    this.#route.metrics.retries++
    this.#run(Effect.sleep(delay), () => this.#try(upstream))
    return true
  }

  #endAttempt(attempt: Attempt, outcome: string, detail?: string) {
    this.#gateway.ticker.remove(this)
    this.#attempt = undefined
    attempt.ended = this.account.elapsed()
    attempt.outcome = outcome
    attempt.detail = detail
    attempt.target.inFlight--
  }

  /** Runs an effect, and goes on when it ends, unless the client has left. */
  #run<A, E>(effect: Effect.Effect<A, E>, next: (exit: Exit.Exit<A, E>) => void) {
    const fiber = this.#gateway.run(effect)
    this.#fiber = fiber
    fiber.addObserver((exit) => {
      // Given up: it may well end in the middle of `#cancel`.
      if (this.#fiber !== fiber) return
      this.#fiber = undefined
      this.#safely(() => next(exit))
    })
  }

  #safely(go: () => void) {
    try {
      go()
    } catch (error) {
      this.#defect(error)
    }
  }

  #cancel() {
    this.#gateway.ticker.remove(this)
    const fiber = this.#fiber
    this.#fiber = undefined
    fiber?.interruptUnsafe()
    if (this.#attempt !== undefined) this.#exchange.abort()
  }

  #deliver(head: Head, outcome: Parameters<Permit["end"]>[0]) {
    this.#permit?.end(outcome, Date.now())
    this.#answered(head.status, undefined, undefined)
    this.account.by = "upstream"
    this.account.responseBytes = head.bytes
    // What may stay open for days is no work in progress: it would use up the places of what is.
    if (head.isOpenEnded) this.#leavePlace()
    this.#done(passedOn)
  }

  #local(status: number, headers: ReadonlyArray<readonly [string, string]>) {
    this.#answered(status, undefined, undefined)
    this.#done({ _tag: "Local", status, headers })
    this.#complete()
  }

  #refuse(refusal: Refusal.Refusal) {
    this.#answered(refusal.status, Refusal.causeOf(refusal), refusal.detail)
    this.#done({ _tag: "Refusal", refusal })
    this.#complete()
  }

  #defect(error: unknown) {
    if (this.#isAnswered) return
    this.#cancel()
    this.#permit?.end({ _tag: "Ignored" }, Date.now())
    if (this.#attempt !== undefined) this.#endAttempt(this.#attempt, "internal-error")
    this.#gateway.run(
      Effect.logError("forwarding failed", { path: this.#exchange.path, requestId: this.account.requestId }, error)
    )
    this.#refuse(new InternalError({}))
  }

  #answered(status: number, cause: string | undefined, detail: string | undefined) {
    this.#isAnswered = true
    this.account.status = status
    this.account.cause = cause
    this.account.detail = detail
    this.account.durationMillis = this.account.elapsed()
  }

  #leavePlace() {
    if (this.#holdsPlace) this.#route.upstream?.concurrency.release()
    this.#holdsPlace = false
  }

  /** Gives back what is held, and records. */
  #complete() {
    if (this.#isComplete) return
    this.#isComplete = true
    this.#leavePlace()
    const { cause, durationMillis, status } = this.account
    RouteMetrics.record(this.#route.metrics, status, cause, durationMillis)
    this.#route.metrics.requestBytes += this.account.requestBytes ?? 0
    this.#route.metrics.responseBytes += this.account.responseBytes ?? 0
    this.#gateway.requests.add(AccountText.account(this.account))
    this.#gateway.records.offer(AccountText.record(this.account))
  }
}
