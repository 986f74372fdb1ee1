import { crc32 } from "node:zlib"
import { FileInfo } from "@opsbuddy/contract/Files"
import { Option, Schema } from "effect"
import * as BlockChecksums from "./BlockChecksums.ts"

/**
 * What lies beside each content, enough to rebuild the index from. `checksums` is absent for contents that an earlier version has
 * stored and that nobody has read since.
 */
export interface ContentRecord {
  readonly info: FileInfo
  readonly checksums?: ReadonlyArray<number>
}

const Text = Schema.fromJsonString(
  Schema.Struct({
    format: Schema.Literal("opsbuddy-file-1"),
    info: Schema.toCodecJson(FileInfo),
    blockBytes: Schema.optionalKey(Schema.Literal(BlockChecksums.blockBytes)),
    checksums: Schema.optionalKey(Schema.String)
  })
)

const toText = Schema.encodeSync(Text)
const fromText = Schema.decodeUnknownOption(Text)

const checksumOf = (json: string) => crc32(json).toString(16).padStart(8, "0")

/** Two lines: the record in JSON, and its CRC-32 in hexadecimal. */
export const encode = ({ checksums, info }: ContentRecord) => {
  const blocks =
    checksums === undefined
      ? {}
      : { blockBytes: BlockChecksums.blockBytes, checksums: BlockChecksums.encode(checksums) }
  const json = toText({ format: "opsbuddy-file-1", info, ...blocks })
  return `${json}\n${checksumOf(json)}\n`
}

/** `None` where it is not whole. */
export const decode = (text: string): Option.Option<ContentRecord> => {
  const [json = "", checksum] = text.split("\n")
  if (checksum !== checksumOf(json)) return Option.none()
  return Option.flatMap(fromText(json), ({ checksums, info }) => {
    if (checksums === undefined) return Option.some({ info })
    const blocks = BlockChecksums.decode(checksums)
    return blocks.length === Math.ceil(info.size / BlockChecksums.blockBytes)
      ? Option.some({ info, checksums: blocks })
      : Option.none()
  })
}
