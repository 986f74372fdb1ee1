import { BlockList, isIPv4, isIPv6 } from "node:net"

/** Whether an address belongs to a proxy that is believed. */
export type IsTrusted = (address: string | undefined) => boolean

/** IPv4 in IPv6 (`::ffff:10.0.0.1`) is the IPv4 address. */
const plain = (address: string) => (/^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address) ? address.slice(7) : address)

/** Tells whether an address is in one of the blocks, which are in CIDR notation. */
export const make = (blocks: ReadonlyArray<string>): IsTrusted => {
  if (blocks.length === 0) return () => false
  const list = new BlockList()
  for (const block of blocks) {
    const [network = "", bits] = block.split("/")
    list.addSubnet(network, Number(bits), isIPv4(network) ? "ipv4" : "ipv6")
  }
  return (address) => {
    if (address === undefined) return false
    const known = plain(address)
    if (isIPv4(known)) return list.check(known, "ipv4")
    return isIPv6(known) && list.check(known, "ipv6")
  }
}

/** The address in one element of `X-Forwarded-For`, which may have a port. */
const addressOf = (element: string) => {
  const text = element.trim()
  if (text.startsWith("[")) return text.slice(1, text.indexOf("]"))
  return text.indexOf(":") === text.lastIndexOf(":") ? (text.split(":")[0] ?? "") : text
}

/**
 * The client of a request: the peer, or where that is a trusted proxy the last address in `X-Forwarded-For` that is none. What is
 * before it anybody can have written.
 */
export const clientOf = (peer: string | undefined, forwardedFor: string | undefined, isTrusted: IsTrusted) => {
  if (forwardedFor === undefined || !isTrusted(peer)) return peer
  let client = peer
  for (const element of forwardedFor.split(",").reverse()) {
    const address = addressOf(element)
    if (!isIPv4(address) && !isIPv6(address)) return client
    client = address
    if (!isTrusted(address)) return client
  }
  return client
}
