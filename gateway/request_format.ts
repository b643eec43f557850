/** `response_format` of a request: the JSON schema that its answers keep. Pure. @module */
import { LIMITS } from "../proto/limits.ts";
import { compileSchema, SchemaError } from "../proto/schema_grammar.ts";
import { invalidValue } from "./errors.ts";
import type { Fields } from "./fields.ts";

const ANY_OBJECT = '{"type":"object"}';

/** @returns The text of a schema; empty where the answer is free.
 * @throws {ApiError} 400, naming the field. */
export function readResponseFormat(fields: Fields): string {
  const format = fields.object("response_format");
  return format === undefined ? "" : readFormat(format, format.object("json_schema"));
}

/** `text.format` of a Responses request, which has the schema's fields beside the type.
 * @throws {ApiError} 400, naming the field. */
export function readTextFormat(fields: Fields): string {
  const format = fields.object("text")?.object("format");
  return format === undefined ? "" : readFormat(format, format);
}

/** @param named Has the schema, where there is one. */
function readFormat(format: Fields, named: Fields | undefined): string {
  const kind = format.string("type");
  if (kind === "json_object") return ANY_OBJECT;
  if (kind === "text" || named === undefined) return "";
  return schemaText(named.get("schema"), named.name("schema"));
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
