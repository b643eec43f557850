/** `response_format` of a request: the JSON schema that its answers keep. Pure. @module */
import { LIMITS } from "../proto/limits.ts";
import { compileSchema, SchemaError } from "../proto/schema_grammar.ts";
import { NAME_CHARS_MAX, TEXT_CHARS_MAX } from "./api_schema.ts";
import { invalidValue, missing } from "./errors.ts";
import type { Fields } from "./fields.ts";

const KINDS = ["text", "json_object", "json_schema"] as const;
const FORMAT_FIELDS: ReadonlySet<string> = new Set(["type", "json_schema"]);
const SCHEMA_FIELDS: ReadonlySet<string> = new Set(["name", "description", "strict", "schema"]);

/** @returns The text of a schema; empty where the answer is free.
 * @throws {ApiError} 400, naming the field. */
export function readResponseFormat(fields: Fields): string {
  const format = fields.object("response_format");
  if (format === undefined) return "";
  format.refuseUnknown(FORMAT_FIELDS);
  const kind = format.oneOf("type", KINDS);
  if (kind === undefined) throw missing(format.name("type"));
  if (kind === "text") return "";
  if (fields.boolean("ignore_eos")) {
    throw invalidValue("ignore_eos", "'ignore_eos' would never let a JSON answer end.");
  }
  if (kind === "json_object") return '{"type":"object"}';
  const named = format.object("json_schema");
  if (named === undefined) throw missing(format.name("json_schema"));
  return readNamedSchema(named);
}

/** A schema under a name, as `response_format.json_schema` has it. */
function readNamedSchema(named: Fields): string {
  named.refuseUnknown(SCHEMA_FIELDS);
  named.requiredString("name", NAME_CHARS_MAX);
  named.string("description", TEXT_CHARS_MAX);
  named.boolean("strict");
  const schema = named.get("schema");
  if (schema === undefined) throw missing(named.name("schema"));
  return schemaText(schema, named.name("schema"));
}

/** @param name The field that holds it.
 * @throws {ApiError} 400, if it is no schema that a grammar can keep, or too large a one. */
export function schemaText(schema: unknown, name: string): string {
  const text = JSON.stringify(schema);
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > LIMITS.schemaBytesMax) {
    const most = LIMITS.schemaBytesMax;
    throw invalidValue(name, `'${name}' has ${bytes} bytes, at most ${most} are allowed.`);
  }
  try {
    compileSchema(schema);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const at = name + error.path;
    throw invalidValue(at, `Invalid schema at '${at}': ${error.message}.`);
  }
  return text;
}
