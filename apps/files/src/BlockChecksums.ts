import { crc32 } from "node:zlib"

/** Contents are read and checked in blocks of this many bytes, so that a range is checked without reading the rest. */
export const blockBytes = 1024 * 1024

/** CRC-32 takes a sixteenth of the time of SHA-256 and finds what disks do; the digest of the whole is kept beside it. */
export const ofBlock = (block: Uint8Array) => crc32(block)

export interface Checksums {
  /** Takes the next bytes of the content, in pieces of any size. */
  readonly update: (bytes: Uint8Array) => void
  /** The checksums of all blocks, of which the last one may be shorter. */
  readonly end: () => ReadonlyArray<number>
}

export const make = (): Checksums => {
  const done: Array<number> = []
  let [current, filled] = [0, 0]
  return {
    update: (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        const piece = bytes.subarray(at, at + blockBytes - filled)
        current = crc32(piece, current)
        filled += piece.length
        at += piece.length
        if (filled < blockBytes) continue
        done.push(current)
        current = 0
        filled = 0
      }
    },
    end: () => (filled === 0 ? done : [...done, current])
  }
}

/** As text: 4 bytes each, little-endian, in base64. */
export const encode = (checksums: ReadonlyArray<number>) => {
  const bytes = Buffer.alloc(checksums.length * 4)
  for (const [at, checksum] of checksums.entries()) bytes.writeUInt32LE(checksum, at * 4)
  return bytes.toString("base64")
}

export const decode = (text: string): ReadonlyArray<number> => {
  const bytes = Buffer.from(text, "base64")
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, at) => bytes.readUInt32LE(at * 4))
}
