import { InvalidRequest, type Issue } from "@opsbuddy/contract/Problems"

/** The problem for a request that can be read and is still not valid. */
export const refusal = (first: Issue, ...more: ReadonlyArray<Issue>) =>
  new InvalidRequest({ detail: `${first.path.join(".")}: ${first.message}`, errors: [first, ...more] })
