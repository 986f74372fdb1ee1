import { Context, Schema } from "effect"
import { HttpApiMiddleware } from "effect/http-api"
import { InternalError, InvalidRequest } from "./Problems.ts"

/** Who asks. With no login configured every request is `local`. Permissions are `<domain>:<action>`, or `*` for all. */
export class Principal extends Schema.Class<Principal>("Principal")({
  subject: Schema.String,
  kind: Schema.Literals(["local", "user", "service"]),
  permissions: Schema.Array(Schema.String)
}) {
  static readonly local = new Principal({ subject: "local", kind: "local", permissions: ["*"] })
}

/** The principal of the request that is being handled. */
export class CurrentPrincipal extends Context.Service<CurrentPrincipal, Principal>()(
  "@opsbuddy/contract/CurrentPrincipal"
) {}

/** Gives each handler its `CurrentPrincipal`. */
export class Authentication extends HttpApiMiddleware.Service<
  Authentication,
  {
    provides: CurrentPrincipal
    requires: never
  }
>()("@opsbuddy/contract/Authentication") {}

/** Turns what does not decode into `InvalidRequest`, naming the path to the field and the reason. */
export class RequestDecoding extends HttpApiMiddleware.Service<RequestDecoding>()(
  "@opsbuddy/contract/RequestDecoding",
  { error: [InvalidRequest, InternalError] }
) {}
