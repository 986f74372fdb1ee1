import { Schema } from "effect"

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

/** A log that is kept in memory, a line an item. */
export class Lines {
  readonly isTTY: boolean
  readonly texts: Array<string> = []

  constructor(isTTY = false) {
    this.isTTY = isTTY
  }

  write(text: string) {
    this.texts.push(text)
  }

  /** The lines as JSON; throws where one is not. */
  get objects() {
    return this.texts.map((text) => decode(text))
  }
}
