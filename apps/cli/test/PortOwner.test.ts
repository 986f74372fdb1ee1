import { assert, describe, it } from "@effect/vitest"
import * as PortOwner from "../src/PortOwner.ts"

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F40 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4244 1 0000000000000000 100 0 0 10 0`

describe("PortOwner", () => {
  it("takes from /proc/net/tcp the sockets that listen on the port, not those that are connected", () => {
    assert.deepStrictEqual(PortOwner.listeningInodes(table, 8000), ["4242"])
    assert.deepStrictEqual(PortOwner.listeningInodes(table, 8002), [])
  })

  it("takes pid and command from what lsof prints", () => {
    assert.strictEqual(PortOwner.ownerInLsof("p321\ncnode\nf17\n"), "pid 321 (node)")
    assert.isUndefined(PortOwner.ownerInLsof(""))
  })
})
