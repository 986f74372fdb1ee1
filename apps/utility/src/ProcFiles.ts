import type { CpuTimes, Traffic } from "./SystemInformation.ts"

/** A file system that can be asked for its size. */
export interface Mount {
  readonly device: string
  readonly mount: string
  readonly type: string
}

/** Bytes that programs can have without swapping, from `/proc/meminfo` (proc_meminfo(5)); `undefined` where it is not told. */
export const availableMemory = (meminfo: string) => {
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

/** File systems on devices of this machine. A dead server of a network file system would block who asks for its size. */
const local = new Set(
  "apfs bcachefs btrfs exfat ext2 ext3 ext4 f2fs fuseblk hfsplus jfs msdos nilfs2 ntfs ntfs3 reiserfs ubifs udf ufs vfat xfs zfs".split(
    " "
  )
)

/** What the root of a container or of a virtual machine can be beside these; elsewhere such mounts repeat another's space. */
const alsoAsRoot = new Set(["9p", "aufs", "overlay", "virtiofs", "fuse.fuse-overlayfs"])

/**
 * The local file systems of `/proc/self/mounts` (fstab(5)), in its order, each device once and by its shortest path. A
 * later mount on the same path hides the earlier one.
 */
export const parseMounts = (mounts: string): ReadonlyArray<Mount> => {
  const byPath = new Map<string, Mount>()
  for (const line of mounts.split("\n")) {
    const [device, mount, type] = line.split(" ").map(unescape)
    if (device === undefined || mount === undefined || type === undefined) continue
    byPath.set(mount, { device, mount, type })
  }
  const byDevice = new Map<string, Mount>()
  for (const found of byPath.values()) {
    if (!local.has(found.type) && !(found.mount === "/" && alsoAsRoot.has(found.type))) continue
    const known = byDevice.get(found.device)
    if (known === undefined || found.mount.length < known.mount.length) byDevice.set(found.device, found)
  }
  return [...byDevice.values()]
}

/** Space, tab, line feed and backslash are octal in `/proc/self/mounts`. */
const unescape = (field: string) =>
  field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))

const cpuStates = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]

/** The first line of `/proc/stat` (proc_stat(5)); guests' time is in `user` and `nice` already. */
export const parseCpuTimes = (stat: string): CpuTimes => {
  const values = /^cpu\s+([\d ]+)$/m.exec(stat)?.[1]?.split(" ") ?? []
  return Object.fromEntries(cpuStates.map((state, index) => [state, Number(values[index] ?? 0)]))
}

/** Loopback, and the machine's ends of containers, which come and go. */
const uninteresting = /^(lo|veth.*|cali.*|cni.*|flannel.*|lxc.*)$/

/** The interfaces of `/proc/net/dev` that have ever moved a packet. */
export const parseTraffic = (dev: string): ReadonlyArray<Traffic> =>
  dev.split("\n").flatMap((line) => {
    const colon = line.lastIndexOf(":")
    const name = line.slice(0, colon).trim()
    const [receivedBytes = 0, receivedPackets = 0, , , , , , , sentBytes = 0, sentPackets = 0] = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number)
    if (colon === -1 || uninteresting.test(name) || receivedPackets + sentPackets === 0) return []
    return [{ interface: name, receivedBytes, receivedPackets, sentBytes, sentPackets }]
  })
