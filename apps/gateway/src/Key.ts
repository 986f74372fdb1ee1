import { Principal } from "@opsbuddy/contract/Identity"
import type { Asked } from "./Exchange.ts"
import type { BalanceConfig, KeySource } from "./GatewayConfig.ts"

/** The key that a source gives for a request; a header that is absent is the empty string, so that leaving it out gains nothing. */
export const take = (source: KeySource, exchange: Asked): string => {
  switch (source._tag) {
    case "Client":
      return `client ${exchange.client ?? "unknown"}`
    case "Header":
      return `${source.name} ${exchange.header(source.name) ?? ""}`
    case "Subject":
      // Without a login everyone is the same principal.
      return `subject ${Principal.local.subject}`
  }
}

/** What a balance by hash goes by; `undefined` for the others, and where the header is absent. */
export const ofBalance = (balance: BalanceConfig, exchange: Asked): string | undefined => {
  if (balance._tag !== "Hash") return undefined
  if (balance.by._tag === "Header") return exchange.header(balance.by.name)
  return take(balance.by, exchange)
}
