/** Holds request bodies against their schemas: each error names the field. Pure. @module */
import {
  type ApiError,
  invalidType,
  invalidValue,
  missing,
  unknownParameter,
  unsupported,
} from "./errors.ts";
import { choicesOf, refusalText, type Rule, type Schema } from "./schema.ts";

/** What is wrong, and where: names are put together only when something is. */
interface Problem {
  path: string;
  error: (name: string) => ApiError;
}

/** Of a name that was never a field, so much is told. */
const KEY_CHARS_MAX = 128;

/** @throws {ApiError} 400, naming the first field that is wrong. */
export function checkBody(schema: Schema, body: unknown): void {
  const problem = problemOf(schema, body);
  if (problem !== undefined) throw problem.error(problem.path.replace(/^\./, "") || "body");
}

function problemOf(schema: Schema, value: unknown): Problem | undefined {
  if (schema.anyOf !== undefined) return ofUnion(schema, value);
  const { type, refusal } = schema;
  if (!hasType(schema, value)) {
    if (type === "null" && refusal !== undefined) return refusedBy(schema);
    return here((name) => invalidType(name, typeWord(schema)));
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    if (refusal !== undefined) return refusedBy(schema);
    return here((name) => invalidValue(name, `'${name}' must be one of ${choicesOf(schema)}.`));
  }
  if (typeof value === "number") return ofNumber(schema, value);
  if (typeof value === "string") return ofString(schema, value);
  if (typeof value !== "object" || value === null) return undefined;
  return Array.isArray(value)
    ? ofArray(schema, value)
    : ofObject(schema, value as Record<string, unknown>);
}

function here(error: (name: string) => ApiError): Problem {
  return { path: "", error };
}

function inside(step: string, { path, error }: Problem): Problem {
  return { path: step + path, error };
}

function refusedBy(schema: Schema): Problem {
  return here((name) => unsupported(name, refusalText(schema, `'${name}'`)));
}

function hasType({ type }: Schema, value: unknown): boolean {
  switch (type) {
    case undefined:
      return true;
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    default: {
      const jsType: string = typeof value;
      return jsType === type;
    }
  }
}

function typeWord({ type }: Schema): string {
  return `${/^[aio]/.test(String(type)) ? "an" : "a"} ${type}`;
}

function ofNumber({ minimum, maximum }: Schema, value: number): Problem | undefined {
  const least = minimum ?? -Infinity;
  const most = maximum ?? Infinity;
  if (value >= least && value <= most) return undefined;
  return here((name) =>
    invalidValue(name, `'${name}' must be between ${least} and ${most}, got ${value}.`)
  );
}

function ofString(schema: Schema, value: string): Problem | undefined {
  const { minLength = 0, maxLength = Infinity, pattern } = schema;
  if (value.length < minLength) return here((name) => invalidValue(name, `'${name}' is empty.`));
  if (isLonger(value, maxLength)) {
    const rule = `is over the limit of ${maxLength} characters`;
    return here((name) => invalidValue(name, `'${name}' ${rule}.`));
  }
  if (!value.isWellFormed()) {
    // It has no UTF-8 form: passing it on would serve another prompt than the one asked for.
    const fault = "holds an unpaired surrogate, which is not valid Unicode";
    return here((name) => invalidValue(name, `'${name}' ${fault}.`));
  }
  if (pattern === undefined || new RegExp(pattern, "u").test(value)) return undefined;
  return here((name) => invalidValue(name, `'${name}' must match the pattern '${pattern}'.`));
}

/** Counts code points, as JSON Schema does, where it matters. */
function isLonger(value: string, charsMax: number): boolean {
  if (value.length <= charsMax) return false;
  if (value.length > 2 * charsMax) return true;
  let count = 0;
  for (const _ of value) ++count;
  return count > charsMax;
}

function ofArray(schema: Schema, values: unknown[]): Problem | undefined {
  const { minItems = 0, maxItems = Infinity, items, contains, refusal } = schema;
  if (values.length < minItems) return here((name) => invalidValue(name, `'${name}' is empty.`));
  if (values.length > maxItems) {
    if (refusal !== undefined) return refusedBy(schema);
    const counts = `${values.length} items, at most ${maxItems} are allowed`;
    return here((name) => invalidValue(name, `'${name}' has ${counts}.`));
  }
  if (contains !== undefined && !values.some((value) => problemOf(contains, value) === undefined)) {
    return here((name) => invalidValue(name, `'${name}' lacks an item.`));
  }
  if (items === undefined) return undefined;
  for (let i = items.type === "integer" ? integerCount(items, values) : 0; i < values.length; ++i) {
    const problem = problemOf(items, values[i]);
    if (problem !== undefined) return inside(`[${i}]`, problem);
  }
  return undefined;
}

/** How many right ones come first: a million token ids would otherwise take long. */
function integerCount({ minimum, maximum }: Schema, values: readonly unknown[]): number {
  const least = minimum ?? -Infinity;
  const most = maximum ?? Infinity;
  for (let i = 0; i < values.length; ++i) {
    const value = values[i];
    const isRight = Number.isInteger(value) && (value as number) >= least &&
      (value as number) <= most;
    if (!isRight) return i;
  }
  return values.length;
}

function ofObject(schema: Schema, value: Record<string, unknown>): Problem | undefined {
  const { required = [], rules = [], maxProperties = Infinity, refusal } = schema;
  const keys = Object.keys(value);
  if (keys.length > maxProperties) {
    if (refusal !== undefined) return refusedBy(schema);
    return here((name) => invalidValue(name, `'${name}' has over ${maxProperties} entries.`));
  }
  for (const key of keys) {
    const problem = ofField(schema, key, value[key]);
    if (problem !== undefined) return problem;
  }
  for (const field of required) {
    if (fieldOf(value, field) === undefined) return inside(`.${field}`, here(missing));
  }
  for (const rule of rules) {
    if (problemOf(rule.not, value) !== undefined) continue;
    return inside(`.${rule.param}`, here((name) => ruleError(rule, name)));
  }
  return undefined;
}

/** Own properties alone: a field named `__proto__` or `toString` is data like any other. */
function fieldOf(value: Record<string, unknown>, field: string): unknown {
  return Object.hasOwn(value, field) ? value[field] ?? undefined : undefined;
}

function ofField(schema: Schema, key: string, value: unknown): Problem | undefined {
  const { properties, propertyNames, additionalProperties: others = true } = schema;
  const isAbsent = value === null || value === undefined;
  if (properties !== undefined && Object.hasOwn(properties, key)) {
    if (isAbsent) return undefined;
    const problem = problemOf(properties[key]!, value);
    return problem && inside(`.${key}`, problem);
  }
  if (propertyNames !== undefined && problemOf(propertyNames, key) !== undefined) {
    return here((name) => invalidType(name, propertyNames.description ?? "other keys"));
  }
  if (others === true) return undefined;
  const isClosed = others === false || others.type === "null";
  if (isClosed && others !== false && isAbsent) return undefined;
  const problem = isClosed ? here(unknownParameter) : problemOf(others, value);
  return problem && inside(`.${key.slice(0, KEY_CHARS_MAX)}`, problem);
}

function ruleError({ code, message }: Rule, name: string): ApiError {
  if (code === "missing") return missing(name);
  return code === "unsupported" ? unsupported(name, message) : invalidValue(name, message);
}

function ofUnion(schema: Schema, value: unknown): Problem | undefined {
  const typed = schema.anyOf!.filter((branch) => hasType(branch, value));
  if (typed.length === 0) {
    const words = new Set(schema.anyOf!.map(typeWord));
    return here((name) => invalidType(name, [...words].join(" or ")));
  }
  if (schema.tag !== undefined) return ofTagged(schema, schema.tag, value);
  const alike = typed.filter((branch) => fitsFirst(branch, value));
  const branches = alike.length === 0 ? typed : alike;
  const problem = problemOf(branches[0]!, value);
  const isOther = branches.slice(1).some((branch) => problemOf(branch, value) === undefined);
  return problem && isOther ? undefined : problem;
}

/** Lists are told apart by their first item, or a wrong one's error would be of another list. */
function fitsFirst({ items }: Schema, value: unknown): boolean {
  if (!Array.isArray(value) || items === undefined || value.length === 0) return true;
  return (items.anyOf ?? [items]).some((item) => hasType(item, value[0]));
}

function ofTagged(schema: Schema, tag: string, value: unknown): Problem | undefined {
  const [first] = schema.anyOf!;
  const given = fieldOf(value as Record<string, unknown>, tag);
  if (given === undefined) return problemOf(first!, value);
  if (typeof given !== "string") {
    return inside(
      `.${tag}`,
      here((name) => invalidType(name, "a string")),
    );
  }
  const branch = schema.anyOf!.find(({ properties }) => properties![tag]!.enum!.includes(given));
  if (branch !== undefined) return problemOf(branch, value);
  if (schema.refusal !== undefined) return inside(`.${tag}`, refusedBy(schema));
  const choices = choicesOf(schema);
  return inside(
    `.${tag}`,
    here((name) => invalidValue(name, `'${name}' must be one of ${choices}.`)),
  );
}
