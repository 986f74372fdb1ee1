import { Schema } from "effect"

const pieces = [
  "a",
  "Z",
  ".",
  " ",
  "-",
  "_",
  "'",
  '"',
  "`",
  "%",
  "%41",
  "*",
  "(",
  ")",
  ";",
  "=",
  ",",
  "ü",
  "u\u0308",
  "日",
  "😀",
  "\u202e",
  "\u00a0",
  "\ufeff"
] as const

/** The parts of a file name that the contract allows, with all that is hard about names. */
export const NameParts = Schema.Array(Schema.Literals(pieces)).check(Schema.isMinLength(3), Schema.isMaxLength(30))
