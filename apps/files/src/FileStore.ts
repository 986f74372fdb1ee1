import type { ContentDamaged, FileId, FileInfo, FileNotFound, Tags } from "@opsbuddy/contract/Files"
import { PreconditionFailed, type StoreProblem } from "@opsbuddy/contract/Problems"
import type { HealthState, Status } from "@opsbuddy/contract/Service"
import type * as Conditions from "@opsbuddy/runtime/Conditions"
import { Context, Effect, type Scope, type Stream } from "effect"
import type { HttpServerResponse } from "effect/http"

/** Files on their way in. They can be seen by nobody until `commit`, and are gone when the scope closes without it. */
export interface Draft {
  /** Takes one more file; returns when its bytes are on disk. `content` is read once and never held in memory. */
  add<E>(
    file: { readonly name: string; readonly contentType: string },
    content: Stream.Stream<Uint8Array, E>
  ): Effect.Effect<void, StoreProblem | E>
  /** Makes all files durable and visible at once, in the order in which they were added, each with these tags. */
  commit(tags: Tags): Effect.Effect<ReadonlyArray<FileInfo>, StoreProblem>
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
    readonly draft: Effect.Effect<Draft, StoreProblem, Scope.Scope>
    stat(id: FileId): Effect.Effect<FileInfo, FileNotFound | StoreProblem>
    /** Fails where the content is known to be damaged or has not its size; reads nothing of it otherwise. */
    check(info: FileInfo): Effect.Effect<void, FileNotFound | ContentDamaged | StoreProblem>
    /**
     * A response whose body is the bytes of the file, or a range of them. No byte is sent that was not checked: where the first
     * block is damaged it fails, and where a later one is the body ends without its end. The content is open until the scope closes.
     */
    content(
      info: FileInfo,
      range?: Range
    ): Effect.Effect<HttpServerResponse.HttpServerResponse, FileNotFound | ContentDamaged | StoreProblem, Scope.Scope>
    /** Newest first. `nextCursor` is absent on the last page. */
    list(
      selection: Selection
    ): Effect.Effect<{ readonly items: ReadonlyArray<FileInfo>; readonly nextCursor?: string }, StoreProblem>
    /** Changes what is given, in one step, where the conditions on the metadata hold; `tags` replaces all tags. */
    update(
      id: FileId,
      changes: { readonly name?: string; readonly tags?: Tags },
      conditions: Conditions.Conditions
    ): Effect.Effect<FileInfo, FileNotFound | PreconditionFailed | StoreProblem>
    /**
     * Removes the file where the conditions on the content hold, frees its space, and leaves readers that have begun to their end.
     * Works on a full disk, too.
     */
    remove(
      id: FileId,
      conditions: Conditions.Conditions
    ): Effect.Effect<void, FileNotFound | PreconditionFailed | StoreProblem>
    /** Asks the index and writes to the disk, now: `degraded` reads but cannot write. */
    readonly health: Effect.Effect<HealthState>
    /** Where the files are, and the bytes of all of them together with the index. */
    readonly usage: Effect.Effect<NonNullable<Status["storage"]>, StoreProblem>
  }
>()("@opsbuddy/files/FileStore") {}

/** What conditions on the content are about. */
export const contentOf = ({ modifiedAt, sha256 }: FileInfo): Conditions.Representation => ({
  etag: `"${sha256}"`,
  modifiedAt
})

/** What conditions on the metadata are about. */
export const metadataOf = ({ modifiedAt, revision }: FileInfo): Conditions.Representation => ({
  etag: `"${revision}"`,
  modifiedAt
})

/** Fails unless the conditions hold for what is there. */
export const proceeds = (conditions: Conditions.Conditions, present: Conditions.Representation | undefined) =>
  conditions.check(present) === "failed"
    ? Effect.fail(new PreconditionFailed(present === undefined ? {} : { etag: present.etag }))
    : Effect.void
