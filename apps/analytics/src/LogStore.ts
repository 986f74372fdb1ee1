import type { LogLevel } from "@opsbuddy/contract/Analytics"
import type { RequestId, StoreProblem } from "@opsbuddy/contract/Problems"
import { Context, type DateTime, type Effect } from "effect"
import type { NewLog, StoredLog } from "./LogText.ts"

/** A place in the order of all entries: by `millis` since 1970, and within one by `sequence`, the order of arrival. */
export interface Position {
  readonly millis: number
  readonly sequence: number
}

/** Which entries are asked for; what is absent does not matter. `from` is inside, `to` is outside. */
export interface LogQuestion {
  readonly from?: DateTime.Utc
  readonly to?: DateTime.Utc
  /** This level and all more severe ones. */
  readonly level?: LogLevel
  readonly service?: string
  /** Part of the message, case-insensitive; no character of it has a meaning of its own. */
  readonly text?: string
  readonly requestId?: RequestId
  /** Only what is older than this place. */
  readonly before?: Position
  /** At least 1. */
  readonly limit: number
}

/** `next` is the place of the last item, there when older ones follow. */
export interface LogPage {
  readonly items: ReadonlyArray<StoredLog>
  readonly next?: Position
}

/** `more` is whether there are later ones that are not among them. */
export interface RequestLogs {
  readonly items: ReadonlyArray<StoredLog>
  readonly more: boolean
}

/** Keeps log entries. Backend: `LogStoreDuckDB`. */
export class LogStore extends Context.Service<
  LogStore,
  {
    /** Stores all entries or, failing, none; returns when they are on disk. Entries without a time are at `arrival`. */
    append(entries: ReadonlyArray<NewLog>, arrival: DateTime.Utc): Effect.Effect<void, StoreProblem>
    /**
     * Gives entries newest first: `limit` of them, or fewer where they are large. Going on `before` the page's `next` neither skips nor repeats an entry that was there when
     * the first page was asked for, whatever is stored meanwhile.
     */
    list(question: LogQuestion): Effect.Effect<LogPage, StoreProblem>
    /** Gives the oldest entries of a request, oldest first: `limit` of them, or fewer where they are large. */
    ofRequest(id: RequestId, limit: number): Effect.Effect<RequestLogs, StoreProblem>
  }
>()("@opsbuddy/analytics/LogStore") {}
