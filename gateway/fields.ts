/** Reads bounded, typed fields out of parsed JSON, naming the field in every error. Of a request
 * body, which was checked by its schema, no bounds need be given. Pure. @module */
import { invalidType, invalidValue, missing, unknownParameter } from "./errors.ts";

/** A JSON object under its path in the request. `null` counts as absent, as at OpenAI. */
export class Fields {
  readonly #object: Record<string, unknown>;

  private constructor(object: Record<string, unknown>, readonly path: string) {
    this.#object = object;
  }

  /** @throws {ApiError} If `value` is no JSON object. */
  static of(value: unknown, path = ""): Fields {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw invalidType(path || "body", "an object");
    }
    return new Fields(value as Record<string, unknown>, path);
  }

  /** The field's full name, as an error gives it. */
  name(field: string): string {
    return this.path === "" ? field : `${this.path}.${field}`;
  }

  keys(): string[] {
    return Object.keys(this.#object);
  }

  /** Own properties alone: a field named `__proto__` or `toString` is data like any other. */
  get(field: string): unknown {
    if (!Object.hasOwn(this.#object, field)) return undefined;
    return this.#object[field] ?? undefined;
  }

  has(field: string): boolean {
    return this.get(field) !== undefined;
  }

  /** @throws {ApiError} Naming the first field that is not in `known`. */
  refuseUnknown(known: ReadonlySet<string>): void {
    for (const key of Object.keys(this.#object)) {
      if (!known.has(key)) throw unknownParameter(this.name(key.slice(0, 128)));
    }
  }

  object(field: string): Fields | undefined {
    const value = this.get(field);
    return value === undefined ? undefined : Fields.of(value, this.name(field));
  }

  boolean(field: string): boolean | undefined {
    const value = this.get(field);
    if (value === undefined || typeof value === "boolean") return value;
    throw invalidType(this.name(field), "a boolean");
  }

  number(field: string, least = -Infinity, most = Infinity): number | undefined {
    const value = this.get(field);
    if (value === undefined) return undefined;
    if (typeof value !== "number") throw invalidType(this.name(field), "a number");
    if (!(value >= least && value <= most)) {
      throw invalidValue(
        this.name(field),
        `'${this.name(field)}' must be between ${least} and ${most}, got ${value}.`,
      );
    }
    return value;
  }

  integer(field: string, least = -Infinity, most = Infinity): number | undefined {
    const value = this.get(field);
    if (value !== undefined && !(typeof value === "number" && Number.isInteger(value))) {
      throw invalidType(this.name(field), "an integer");
    }
    return this.number(field, least, most);
  }

  string(field: string, charsMax = Infinity): string | undefined {
    const value = this.get(field);
    return value === undefined ? undefined : checkString(value, this.name(field), charsMax);
  }

  requiredString(field: string, charsMax = Infinity): string {
    const value = this.string(field, charsMax);
    if (value === undefined) throw missing(this.name(field));
    return value;
  }

  oneOf<const T extends string>(field: string, allowed: readonly T[]): T | undefined {
    const value = this.get(field);
    if (value === undefined) return undefined;
    if (typeof value !== "string") throw invalidType(this.name(field), "a string");
    if (!(allowed as readonly string[]).includes(value)) {
      const choices = allowed.map((word) => `'${word}'`).join(", ");
      throw invalidValue(this.name(field), `'${this.name(field)}' must be one of ${choices}.`);
    }
    return value as T;
  }

  array(field: string, lengthMax = Infinity): unknown[] | undefined {
    const value = this.get(field);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw invalidType(this.name(field), "an array");
    if (value.length > lengthMax) {
      throw invalidValue(
        this.name(field),
        `'${this.name(field)}' has ${value.length} items, at most ${lengthMax} are allowed.`,
      );
    }
    return value;
  }
}

/** @throws {ApiError} If `value` is no string, is too long, or holds half of a surrogate pair. */
export function checkString(value: unknown, name: string, charsMax: number): string {
  if (typeof value !== "string") throw invalidType(name, "a string");
  if (value.length > charsMax) {
    throw invalidValue(name, `'${name}' is over the limit of ${charsMax} characters.`);
  }
  if (!value.isWellFormed()) {
    // It has no UTF-8 form: passing it on would serve another prompt than the one asked for.
    throw invalidValue(name, `'${name}' holds an unpaired surrogate, which is not valid Unicode.`);
  }
  return value;
}
