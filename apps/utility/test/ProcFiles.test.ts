import { assert, describe, it } from "@effect/vitest"
import * as ProcFiles from "../src/ProcFiles.ts"

describe("ProcFiles", () => {
  it("finds local disks, each device once by its shortest path, and no pseudo or network file system", () => {
    const mounts = [
      "rootfs / rootfs rw 0 0",
      "/dev/sda1 / ext4 rw,relatime 0 0",
      "proc /proc proc rw 0 0",
      "tmpfs /run tmpfs rw 0 0",
      "/dev/sda2 /srv/data xfs rw 0 0",
      "/dev/sda2 /srv xfs rw 0 0",
      "/dev/sda1 /etc/hosts ext4 rw 0 0",
      "/dev/sdb1 /mnt/a\\040b\\134c vfat rw 0 0",
      "tank/home /home zfs rw 0 0",
      "server:/export /mnt/nfs nfs4 rw 0 0",
      "user@host: /mnt/ssh fuse.sshfs rw 0 0",
      "overlay /var/lib/docker/overlay2/x/merged overlay rw 0 0",
      "/dev/loop0 /snap/x squashfs ro 0 0",
      "/dev/sdc1 /media ext4 rw 0 0",
      "tmpfs /media tmpfs rw 0 0",
      ""
    ].join("\n")
    assert.deepStrictEqual(ProcFiles.parseMounts(mounts), [
      { device: "/dev/sda1", mount: "/", type: "ext4" },
      { device: "/dev/sda2", mount: "/srv", type: "xfs" },
      { device: "/dev/sdb1", mount: "/mnt/a b\\c", type: "vfat" },
      { device: "tank/home", mount: "/home", type: "zfs" }
    ])
  })

  it("takes a container's root, whatever it is made of", () => {
    assert.deepStrictEqual(ProcFiles.parseMounts("overlay / overlay rw 0 0\n/dev/vda1 /etc/hosts ext4 rw 0 0\n"), [
      { device: "overlay", mount: "/", type: "overlay" },
      { device: "/dev/vda1", mount: "/etc/hosts", type: "ext4" }
    ])
  })

  it("reads available memory, and tells when a kernel does not give it", () => {
    assert.strictEqual(ProcFiles.availableMemory("MemTotal: 2 kB\nMemFree:  1 kB\nMemAvailable:    1024 kB\n"), 1048576)
    assert.isUndefined(ProcFiles.availableMemory("MemTotal: 2 kB\nMemFree:  1 kB\n"))
  })

  it("reads CPU times of all CPUs, also of a kernel that tells fewer", () => {
    const stat = "cpu  10 2 3 400 5 0 6 7 1 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n"
    const expected = { user: 10, nice: 2, system: 3, idle: 400, iowait: 5, irq: 0, softirq: 6, steal: 7 }
    assert.deepStrictEqual(ProcFiles.parseCpuTimes(stat), expected)
    assert.deepInclude(ProcFiles.parseCpuTimes("cpu 1 2 3 4\n"), { idle: 4, steal: 0 })
  })

  it("reads interfaces that have moved packets, without loopback and containers' ends", () => {
    const dev = [
      "Inter-|   Receive                                                |  Transmit",
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed",
      "    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0",
      "  eth0:1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0",
      "eth0:1: 3 1 0 0 0 0 0 0 4 2 0 0 0 0 0 0",
      "vethab12: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0",
      "  ifb0: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
    ].join("\n")
    assert.deepStrictEqual(ProcFiles.parseTraffic(dev), [
      { interface: "eth0", receivedBytes: 1000, receivedPackets: 10, sentBytes: 2000, sentPackets: 20 },
      { interface: "eth0:1", receivedBytes: 3, receivedPackets: 1, sentBytes: 4, sentPackets: 2 }
    ])
  })
})
