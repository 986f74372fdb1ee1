import { Schema } from "effect"

/** Headers that make a change depend on what is there, https://www.rfc-editor.org/rfc/rfc9110#section-13.1. */
export const conditionalHeaders = {
  "if-match": Schema.optionalKey(
    Schema.String.annotate({
      description: "Makes the change only where the present `ETag` is one of these, or, by `*`, where there is anything"
    })
  ),
  "if-none-match": Schema.optionalKey(
    Schema.String.annotate({
      description:
        "Makes the change only where the present `ETag` is none of these, or, by `*`, where there is nothing yet"
    })
  )
}

const etag = {
  description: "What is there now, in quotes; for `If-Match` of the next change",
  schema: { type: "string" },
  example: '"7"'
}

const notModified = { description: "It still has an `ETag` that `If-None-Match` names", headers: { ETag: etag } }

const ifNoneMatch = {
  name: "if-none-match",
  in: "header",
  required: false,
  description: "Gives 304 and no body where the present `ETag` is one of these",
  schema: { type: "string" }
}

/** What of an operation of OpenAPI is changed below. */
interface Operation {
  readonly [member: string]: unknown
  readonly parameters?: ReadonlyArray<unknown>
  readonly requestBody?: unknown
  readonly responses?: Readonly<Record<string, object>>
}

/** Documents the `ETag` of a response and, where the operation reads, that it can be asked for anew. */
export const documentEtag = (operation: Operation) => {
  const responses = Object.entries(operation.responses ?? {}).map(([status, response]) =>
    Number(status) < 300 ? [status, { ...response, headers: { ETag: etag } }] : [status, response]
  )
  if (operation.requestBody !== undefined) return { ...operation, responses: Object.fromEntries(responses) }
  return {
    ...operation,
    parameters: [...(operation.parameters ?? []), ifNoneMatch],
    responses: Object.fromEntries([...responses, ["304", notModified]])
  }
}
