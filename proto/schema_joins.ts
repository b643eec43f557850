/** Schemas beside each other: whether branches exclude each other, and several as one. Pure.
 * @module */
import { SchemaError } from "./grammar_builder.ts";
import { isIgnored } from "./schema_keywords.ts";
import { PATTERNS } from "./text_grammar.ts";

type Json = Record<PropertyKey, unknown>;
/** Follows references; gives what is not a schema object as it is. */
export type Resolve = (schema: unknown) => unknown;

const DEPTH_MAX = 8;
const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether no value can be valid by both: they want other types or values, or objects with a
 * property that both require and want other of. */
export function areExclusive(a: unknown, b: unknown, resolve: Resolve, depth = 0): boolean {
  const [first, second] = [resolve(a), resolve(b)];
  if (!isJson(first) || !isJson(second) || depth > DEPTH_MAX) return false;
  for (const [one, other] of [[first, second], [second, first]] as const) {
    const branches = one.anyOf ?? one.oneOf;
    if (Array.isArray(branches)) {
      return branches.every((branch) => areExclusive(branch, other, resolve, depth + 1));
    }
    if (Array.isArray(one.allOf)) {
      return one.allOf.some((part) => areExclusive(part, other, resolve, depth + 1));
    }
  }
  const [values, others] = [valuesOf(first), valuesOf(second)];
  if (values !== undefined && others !== undefined) {
    return values.every((value) => !others.includes(value));
  }
  const [types, otherTypes] = [typesOf(first), typesOf(second)];
  if (types === undefined || otherTypes === undefined) return false;
  const shared = types.filter((type) => otherTypes.includes(type));
  if (shared.length === 0) return true;
  return shared.length === 1 && shared[0] === "object" &&
    requiredOf(first).some((name) =>
      requiredOf(second).includes(name) &&
      areExclusive(propertyOf(first, name), propertyOf(second, name), resolve, depth + 1)
    );
}

/** As texts; nothing unless it allows simple values alone. */
function valuesOf(schema: Json): string[] | undefined {
  const values = schema.const !== undefined ? [schema.const] : schema.enum;
  if (!Array.isArray(values)) return undefined;
  const isSimple = values.every((value) => value === null || typeof value !== "object");
  return isSimple ? values.map((value) => JSON.stringify(value)) : undefined;
}

/** An integer is a number. */
function typesOf(schema: Json): unknown[] | undefined {
  const values = schema.const !== undefined ? [schema.const] : schema.enum;
  if (Array.isArray(values)) return values.map(typeOf);
  if (schema.type === undefined) return undefined;
  return [schema.type].flat().map((type) => type === "integer" ? "number" : type);
}

function typeOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}

/** @param type That of a schema: one, several, or none that says nothing. */
export function hasType(value: unknown, type: unknown): boolean {
  if (type === undefined) return true;
  const own = typeOf(value);
  return [type].flat().some((it) => it === own || (it === "integer" && Number.isInteger(value)));
}

function requiredOf(schema: Json): string[] {
  return Array.isArray(schema.required) ? schema.required : [];
}

function propertyOf(schema: Json, name: string): unknown {
  const { properties } = schema;
  return isJson(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined;
}

const LOWER = ["minimum", "exclusiveMinimum", "minLength", "minItems"];
const UPPER = ["maximum", "exclusiveMaximum", "maxLength", "maxItems"];

/** One schema for what several ask of a value.
 * @throws {SchemaError} If they ask for what one schema cannot say. */
export function joinSchemas(
  schemas: readonly unknown[],
  path: string,
  resolve: Resolve,
  depth = 0,
): Json {
  const joined: Json = {};
  const fail = (key: string): never => {
    throw new SchemaError(`${path}.${key}`, "it cannot be joined with what is beside it");
  };
  if (depth > DEPTH_MAX) fail("allOf");
  const parts = schemas.flatMap((schema): Json[] => {
    const part = resolve(schema);
    if (part === true) return [];
    if (!isJson(part)) throw new SchemaError(path, "it is not a schema that allows a value");
    if (!Array.isArray(part.allOf)) return [part];
    const { allOf, ...rest } = part;
    return [rest, joinSchemas(allOf as unknown[], path, resolve, depth + 1)];
  });
  refuseClosed(parts, fail);
  const patterns: unknown[] = [];
  for (const part of parts) {
    if (part[PATTERNS] !== undefined) patterns.push(...part[PATTERNS] as unknown[]);
    for (const [key, value] of Object.entries(part)) {
      if (isIgnored(key, value)) continue;
      if (key === "pattern") patterns.push(value);
      else if (!Object.hasOwn(joined, key)) joined[key] = value;
      else joined[key] = joinValues(key, joined[key], value) ?? fail(key);
    }
  }
  if (patterns.length > 0) {
    joined.pattern = patterns[0];
    joined[PATTERNS] = patterns;
  }
  return joined;
}

/** What both say under one keyword; nothing where no schema can. */
function joinValues(key: string, one: unknown, other: unknown): unknown {
  if (JSON.stringify(one) === JSON.stringify(other)) return one;
  if (typeof one === "number" && typeof other === "number") {
    if (LOWER.includes(key)) return Math.max(one, other);
    if (UPPER.includes(key)) return Math.min(one, other);
  }
  if (key === "required" && Array.isArray(one) && Array.isArray(other)) {
    return [...new Set([...one, ...other])];
  }
  if (key === "additionalProperties" && (one === true || other === true)) {
    return one === true ? other : one;
  }
  if (key !== "properties" || !isJson(one) || !isJson(other)) return undefined;
  const all: Json = { ...one };
  for (const [name, schema] of Object.entries(other)) {
    all[name] = Object.hasOwn(one, name) ? { allOf: [one[name], schema] } : schema;
  }
  return all;
}

/** Who allows no other property, or only some, forbids those of the others. */
function refuseClosed(parts: readonly Json[], fail: (key: string) => never): void {
  const namesOf = (part: Json) => [
    ...Object.keys(isJson(part.properties) ? part.properties : {}),
    ...requiredOf(part),
  ];
  for (const part of parts) {
    if (part.additionalProperties === undefined || part.additionalProperties === true) continue;
    const own = namesOf(part);
    const isOpen = parts.some((other) => namesOf(other).some((name) => !own.includes(name)));
    if (isOpen) fail("additionalProperties");
  }
}
