import { HttpApi, OpenApi } from "effect/http-api"
import { AnalyticsApi } from "./Analytics.ts"
import { FilesApi } from "./Files.ts"
import { GatewayApi } from "./Gateway.ts"
import { ServiceApi } from "./Service.ts"
import { TimeseriesApi } from "./Timeseries.ts"
import { UtilityApi } from "./Utility.ts"

const info = (title: string) => OpenApi.annotations({ title, version: "0.1.0" })

/** What the gateway answers itself. */
export class GatewayServiceApi extends HttpApi.make("gateway")
  .add(ServiceApi)
  .add(GatewayApi)
  .annotateMerge(info("OpsBuddy gateway")) {}

export class FilesServiceApi extends HttpApi.make("files")
  .add(ServiceApi)
  .add(FilesApi)
  .annotateMerge(info("OpsBuddy files")) {}

export class UtilityServiceApi extends HttpApi.make("utility")
  .add(ServiceApi)
  .add(UtilityApi)
  .annotateMerge(info("OpsBuddy utility")) {}

export class AnalyticsServiceApi extends HttpApi.make("analytics")
  .add(ServiceApi)
  .add(AnalyticsApi)
  .annotateMerge(info("OpsBuddy analytics")) {}

export class TimeseriesServiceApi extends HttpApi.make("timeseries")
  .add(ServiceApi)
  .add(TimeseriesApi)
  .annotateMerge(info("OpsBuddy timeseries")) {}

/** All domains at once: what a client finds behind the gateway. */
export class Api extends HttpApi.make("opsbuddy")
  .add(ServiceApi)
  .add(GatewayApi)
  .add(FilesApi)
  .add(UtilityApi)
  .add(AnalyticsApi)
  .add(TimeseriesApi)
  .annotateMerge(info("OpsBuddy")) {}
