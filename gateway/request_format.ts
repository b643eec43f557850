/** `response_format` of a request: the JSON schema that its answers keep. Pure. @module */
import { LIMITS } from "../proto/limits.ts";
import { compileSchema, SchemaError } from "../proto/schema_grammar.ts";
import { NAME_CHARS_MAX, TEXT_CHARS_MAX } from "./api_schema.ts";
import { invalidValue, missing, unsupported } from "./errors.ts";
import type { Fields } from "./fields.ts";

const KINDS = ["text", "json_object", "json_schema"] as const;
const ANY_OBJECT = '{"type":"object"}';
const TEXT_FIELDS: ReadonlySet<string> = new Set(["format", "verbosity"]);
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
  refuseEndless(fields);
  if (kind === "json_object") return ANY_OBJECT;
  const named = format.object("json_schema");
  if (named === undefined) throw missing(format.name("json_schema"));
  return readNamedSchema(named);
}

/** @throws {ApiError} 400: an answer that has a form ends where the form does. */
export function refuseEndless(fields: Fields): void {
  if (!fields.boolean("ignore_eos")) return;
  throw invalidValue("ignore_eos", "'ignore_eos' would never let a JSON answer end.");
}

/** `text.format` of a Responses request, which has the schema's fields beside the type.
 * @throws {ApiError} 400, naming the field. */
export function readTextFormat(fields: Fields): string {
  const text = fields.object("text");
  text?.refuseUnknown(TEXT_FIELDS);
  if (text?.has("verbosity")) throw unsupported("text.verbosity", "It is not supported.");
  const format = text?.object("format");
  if (format === undefined) return "";
  const kind = format.oneOf("type", KINDS);
  if (kind === undefined) throw missing(format.name("type"));
  if (kind === "json_schema") {
    refuseEndless(fields);
    return readNamedSchema(format, new Set([...SCHEMA_FIELDS, "type"]));
  }
  format.refuseUnknown(new Set(["type"]));
  if (kind === "text") return "";
  refuseEndless(fields);
  return ANY_OBJECT;
}

/** A schema under a name, as `response_format.json_schema` has it. */
function readNamedSchema(named: Fields, known = SCHEMA_FIELDS): string {
  named.refuseUnknown(known);
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
