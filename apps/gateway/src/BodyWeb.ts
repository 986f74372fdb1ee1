/** Bodies up to this length arrive in a few chunks: they are handed over unseen. */
const unseen = 256 * 1024

export interface Watch {
  /** The longest time between two chunks, in milliseconds. */
  readonly idleMillis: number
  readonly ended: (bytes: number | undefined, cause?: string, detail?: string) => void
  /** Ends the upstream's side. */
  readonly abort: () => void
}

/**
 * Tells how an answer's body ends. A long one, or one of unknown length, is read chunk by chunk as the client takes it, so that
 * its bytes and its end are known and an upstream that falls silent is noticed; when it breaks off, the client's connection is
 * cut, never ended as if all were there. A short one is handed over to the runtime as it is, and counts as ended at once.
 */
export const watched = (response: Response, bytes: number | undefined, watch: Watch): Response => {
  // A response with a status beyond 599 can be passed on, and not be made.
  if ((bytes !== undefined && bytes <= unseen) || response.status > 599) {
    watch.ended(bytes)
    return response
  }
  // Not before: to look at a body makes a stream of it, which Bun then no longer hands over by itself.
  const { body } = response
  if (body === null) {
    watch.ended(0)
    return response
  }
  const reader = body.getReader()
  let seen = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        timer = setTimeout(() => {
          watch.ended(seen, "upstream-timeout", `no byte for ${watch.idleMillis} ms after ${seen} bytes of the body`)
          watch.abort()
        }, watch.idleMillis)
        try {
          const { done, value } = await reader.read()
          if (done) {
            controller.close()
            watch.ended(seen)
          } else {
            seen += value.length
            controller.enqueue(value)
          }
        } catch {
          watch.ended(seen, "upstream-reset", `the connection broke after ${seen} bytes of the body`)
          // Without a reason, because Bun prints one.
          controller.error()
        } finally {
          clearTimeout(timer)
        }
      },
      cancel: (reason) => {
        clearTimeout(timer)
        watch.ended(seen, "client-closed", `the client left after ${seen} bytes of the body`)
        return reader.cancel(reason)
      }
    },
    { highWaterMark: 0 }
  )
  return new Response(stream, { status: response.status, statusText: response.statusText, headers: response.headers })
}

/** A request's body that ends with an error after `maxBytes`. */
export const bounded = (body: ReadableStream<Uint8Array>, maxBytes: number) => {
  let seen = 0
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      seen += chunk.length
      if (seen > maxBytes) controller.error(new Error("the body is too large"))
      else controller.enqueue(chunk)
    }
  })
  return { body: body.pipeThrough(counting), isExceeded: () => seen > maxBytes }
}
