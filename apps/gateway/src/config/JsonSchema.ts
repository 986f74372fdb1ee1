import { JsonSchema, Schema } from "effect"
import { ConfigDocument } from "./ConfigDocument.ts"
import * as Defaults from "./Defaults.ts"

type Json = JsonSchema.JsonSchema

const anyOf = (...keys: ReadonlyArray<string>) => ({ anyOf: keys.map((key) => ({ required: [key] })) })

const notBoth = (...keys: ReadonlyArray<string>) => ({ not: { required: keys } })

const isDisabled = { required: ["disabled"], properties: { disabled: { const: true } } }

/** The rules between settings, as far as JSON Schema can say them. */
const rules: Record<string, ReadonlyArray<Json>> = {
  Upstream: [{ anyOf: [isDisabled, { required: ["targets"] }] }],
  Route: [
    {
      if: isDisabled,
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: anyOf("name", "path", "exact", "host"),
      else: { allOf: [anyOf("path", "exact", "host"), anyOf("upstream", "redirect")] }
    },
    notBoth("path", "exact"),
    notBoth("upstream", "redirect"),
    notBoth("stripPrefix", "replacePrefix")
  ]
}

const defaults: Record<string, unknown> = {
  Upstream: { ...Defaults.upstream, targets: Defaults.target },
  Route: { ...Defaults.route, redirect: Defaults.redirect, limit: Defaults.limit, cors: Defaults.cors }
}

/**
 * The configuration file as JSON Schema, for editors: draft 7, which they know best. It takes every file that `decode`
 * takes, and more: what it cannot say is told by `opsbuddy check` alone.
 */
export const make = (): Json => {
  const { definitions, schema } = JsonSchema.toDocumentDraft07(
    Schema.toJsonSchemaDocument(ConfigDocument, { onExcessProperty: "error" })
  )
  return {
    $schema: JsonSchema.META_SCHEMA_URI_DRAFT_07,
    title: "opsbuddy.yaml",
    description: "Upstreams and routes of the OpsBuddy gateway",
    ...withDefaults(schema, Defaults.rest),
    definitions: Object.fromEntries(
      Object.entries(definitions).map(([name, definition]) => [
        name,
        { ...withDefaults(definition, defaults[name]), allOf: rules[name] ?? [] }
      ])
    )
  }
}

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** Puts defaults where their settings are, through alternatives and lists. */
const withDefaults = (schema: Json, values: unknown): Json => {
  const within = (value: unknown) => (isObject(value) ? withDefaults(value, values) : value)
  if (!isObject(values)) return { ...schema, default: values }
  return {
    ...schema,
    ...(Array.isArray(schema.anyOf) ? { anyOf: schema.anyOf.map(within) } : {}),
    ...(isObject(schema.items) && !("$ref" in schema.items) ? { items: within(schema.items) } : {}),
    ...(isObject(schema.properties)
      ? {
          properties: Object.fromEntries(
            Object.entries(schema.properties).map(([key, property]) => [
              key,
              isObject(property) && Object.hasOwn(values, key) ? withDefaults(property, values[key]) : property
            ])
          )
        }
      : {})
  }
}
