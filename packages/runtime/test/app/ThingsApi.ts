import { RequestDecoding } from "@opsbuddy/contract/Identity"
import { BodyTooLarge, problemMembers, problemPrefix } from "@opsbuddy/contract/Problems"
import { ServiceApi } from "@opsbuddy/contract/Service"
import { ConfigValue } from "@opsbuddy/contract/Utility"
import { ContentEncodings, strictRequests } from "@opsbuddy/contract/Wire"
import { Schema } from "effect"
import { Multipart } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiError, HttpApiGroup, HttpApiSchema } from "effect/http-api"

export class Busy extends HttpApiError.Problem<Busy>()(
  "Busy",
  { type: `${problemPrefix}busy`, status: 503, title: "Busy" },
  { ...problemMembers, retryAfter: Schema.Int }
) {}

export const Thing = Schema.Struct({
  name: Schema.NonEmptyString,
  count: Schema.Int,
  parts: Schema.Array(Schema.Struct({ weight: Schema.Finite }))
})

const Bytes = Schema.Struct({ bytes: Schema.Int })

/** Something of every kind that the runtime has to answer for. */
export class ThingsApi extends HttpApiGroup.make("things")
  .add(
    HttpApiEndpoint.post("make", "/", { payload: Thing, success: Thing }),
    HttpApiEndpoint.get("list", "/", { query: { limit: Schema.optionalKey(Schema.Int) }, success: Bytes }),
    HttpApiEndpoint.post("json", "/json", { payload: ConfigValue, success: Bytes }),
    HttpApiEndpoint.post("text", "/text", { payload: Schema.String.pipe(HttpApiSchema.asText()), success: Bytes }),
    HttpApiEndpoint.post("gzip", "/gzip", {
      payload: Schema.String.pipe(HttpApiSchema.asText()),
      success: Bytes
    }).annotate(ContentEncodings, ["gzip"]),
    HttpApiEndpoint.post("upload", "/upload", {
      payload: Schema.Struct({ file: Multipart.FilesSchema }).pipe(HttpApiSchema.asMultipartStream()),
      success: Bytes
    }),
    HttpApiEndpoint.post("raw", "/raw", { payload: HttpApiSchema.StreamUint8Array(), success: Bytes }),
    HttpApiEndpoint.post("bounded", "/bounded", {
      payload: HttpApiSchema.StreamUint8Array({ maxBytes: 1000 }),
      success: Bytes,
      error: BodyTooLarge
    }),
    HttpApiEndpoint.get("named", "/named/:name", { params: { name: Schema.String }, success: Bytes }),
    HttpApiEndpoint.put("fixed", "/named/fixed", { success: Bytes }),
    HttpApiEndpoint.get("defect", "/defect", { success: Bytes }),
    HttpApiEndpoint.get("unencodable", "/unencodable", { success: Bytes }),
    HttpApiEndpoint.get("busy", "/busy", { error: Busy }),
    HttpApiEndpoint.get("logged", "/logged", { success: Bytes }),
    HttpApiEndpoint.get("slow", "/slow", { success: Bytes })
  )
  .prefix("/api/things")
  .middleware(RequestDecoding)
  .annotateMerge(strictRequests) {}

export class ThingsServiceApi extends HttpApi.make("things").add(ServiceApi).add(ThingsApi) {}
