/** Keywords of a JSON schema: what a grammar keeps, and what says nothing of a value. Pure.
 * @module */
import { NUMBER_KEYWORDS, TEXT_KEYWORDS } from "./text_grammar.ts";

const IGNORED = new Set([
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "$schema",
  "$id",
  "$comment",
  "$defs",
  "definitions",
  "discriminator",
  "contentEncoding",
  "contentMediaType",
]);
/** Whether a keyword says nothing of a value: notes, and that names of properties are strings. */
export function isIgnored(key: string, value: unknown): boolean {
  if (IGNORED.has(key) || key.startsWith("x-")) return true;
  if (key !== "propertyNames" || typeof value !== "object" || value === null) return false;
  return Object.entries(value).every(([name, word]) => name === "type" && word === "string");
}

/** What a grammar keeps. */
export const SCHEMA_KEYWORDS: readonly string[] = [
  ...["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"],
  ...["properties", "required", "additionalProperties", "items", "minItems", "maxItems"],
  ...["minLength", "maxLength", ...TEXT_KEYWORDS, ...NUMBER_KEYWORDS],
];
export const KNOWN = new Set(SCHEMA_KEYWORDS);
