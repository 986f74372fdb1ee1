import type { FileId, FileInfo, FileNotFound, Tags } from "@opsbuddy/contract/Files"
import type { StoreUnavailable } from "@opsbuddy/contract/Problems"
import type { HealthState, Status } from "@opsbuddy/contract/Service"
import { Context, type Effect, type Scope, type Stream } from "effect"
import type { HttpServerResponse } from "effect/http"

/** Files on their way in. They can be seen by nobody until `commit`, and are gone when the scope closes without it. */
export interface Draft {
  /** Takes one more file; returns when its bytes are on disk. `content` is read once and never held in memory. */
  add<E>(
    file: { readonly name: string; readonly contentType: string },
    content: Stream.Stream<Uint8Array, E>
  ): Effect.Effect<void, StoreUnavailable | E>
  /** Makes all files durable and visible at once, in the order in which they were added, each with these tags. */
  commit(tags: Tags): Effect.Effect<ReadonlyArray<FileInfo>, StoreUnavailable>
}

/** Which files to list. All that is given must match. */
export interface Selection {
  /** Part of the name; case does not matter, nor how accents are composed. */
  readonly name?: string
  /** `key:value`. */
  readonly tag?: ReadonlyArray<string>
  /** 1 to 1000; 100 when absent. */
  readonly limit?: number
  readonly cursor?: string
}

/** Bytes of a file, both inside: `0` and `size - 1` are all. */
export interface Range {
  readonly first: number
  readonly last: number
}

/** Keeps files by id. What is listed can be read. Backends: `FileStoreLocal`. */
export class FileStore extends Context.Service<
  FileStore,
  {
    readonly draft: Effect.Effect<Draft, StoreUnavailable, Scope.Scope>
    stat(id: FileId): Effect.Effect<FileInfo, FileNotFound | StoreUnavailable>
    /** An answer whose body is the bytes of the file, or a range of them, and that has their `Content-Length`. */
    content(
      info: FileInfo,
      range?: Range
    ): Effect.Effect<HttpServerResponse.HttpServerResponse, FileNotFound | StoreUnavailable>
    /** Newest first. `nextCursor` is absent on the last page. */
    list(
      selection: Selection
    ): Effect.Effect<{ readonly items: ReadonlyArray<FileInfo>; readonly nextCursor?: string }, StoreUnavailable>
    /** Changes what is given, in one step; `tags` replaces all tags. */
    update(
      id: FileId,
      changes: { readonly name?: string; readonly tags?: Tags }
    ): Effect.Effect<FileInfo, FileNotFound | StoreUnavailable>
    /** Removes the file, frees its space, and leaves readers that have begun to their end. */
    remove(id: FileId): Effect.Effect<void, FileNotFound | StoreUnavailable>
    /** Asks the index and writes to the disk, now: `degraded` reads but cannot write. */
    readonly health: Effect.Effect<HealthState>
    /** Where the files are, and the bytes of all of them together with the index. */
    readonly usage: Effect.Effect<NonNullable<Status["storage"]>, StoreUnavailable>
  }
>()("@opsbuddy/files/FileStore") {}
