/** A JSON schema as a grammar over bytes: what a constrained answer may be. The gateway compiles
 * one to refuse what it cannot keep, the node to keep it. Pure.
 *
 * Answers are compact JSON: one space may follow a comma or a colon, properties come in the
 * schema's order. What the grammar allows is always valid by the schema, never the other way round.
 * @module */

import { type Grammar, GRAMMAR_END, type Piece, prune, SchemaError } from "./grammar_builder.ts";
import { areExclusive, hasType, joinSchemas, type Resolve } from "./schema_joins.ts";
import { isIgnored, KNOWN } from "./schema_keywords.ts";
import { PATTERNS, TextBuilder } from "./text_grammar.ts";

export { type Grammar, GRAMMAR_END, SchemaError };

const VALUES_MAX = 10_000;
const LENGTH_MAX = 1024;
const ITEMS_MAX = 256;
const SCHEMA_DEPTH_MAX = 32;
const FREE_DEPTH_MAX = 8;
type Json = Record<string, unknown>;

const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];

/** The grammar of `schema`; of any JSON object where there is none.
 * @throws {SchemaError} */
export function compileSchema(schema: unknown): Grammar {
  const compiler = new SchemaCompiler();
  return compiler.grammar(compiler.whole(schema, "schema"));
}

/** Several schemas may share one grammar: each is under a scope of its own. */
export class SchemaCompiler extends TextBuilder {
  #schema: unknown;
  #scope = "";
  /** Takes what it cannot keep as allowing more, where it would else refuse. */
  #isLoose = false;
  #valueCount = 0;

  /** A value by `schema`, whose references are its own.
   * @param scope Names its rules: no two schemas may have the same.
   * @throws {SchemaError} */
  whole(schema: unknown, scope: string, isLoose = false): Piece {
    [this.#schema, this.#scope, this.#isLoose] = [schema, scope, isLoose];
    return this.call(`${scope}#`, () => this.#value(schema, "", 0, new Set(["#"])));
  }

  /** @throws {SchemaError} If no finite answer is valid by it. */
  grammar(answer: Piece): Grammar {
    const root = this.rule("answer", () => answer);
    const charNodes = new Set([...this.charRules].flatMap((name) => [...this.startsOf(name)]));
    const grammar = { nodes: this.nodes, rules: this.rules, root, charNodes };
    prune(grammar);
    return grammar;
  }

  /** @param chain References followed since the last byte: one of them again would never end. */
  #value(schema: unknown, path: string, depth: number, chain: Set<string>): Piece {
    if (depth > SCHEMA_DEPTH_MAX) throw new SchemaError(path, "it is nested too deeply");
    if (++this.#valueCount > VALUES_MAX) throw new SchemaError(path, "it is too large");
    if (schema === true) return this.free(FREE_DEPTH_MAX);
    if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
      throw new SchemaError(path, "it is not a schema that allows a value");
    }
    const json = schema as Json;
    this.#checkKeywords(json, path);
    // One by one, the six types of thousands of such would take longer than all else here.
    if (Object.entries(json).every(([key, value]) => isIgnored(key, value))) {
      return this.free(FREE_DEPTH_MAX);
    }
    if (json.$ref !== undefined) return this.#reference(json, path, depth, chain);
    for (const key of ["anyOf", "oneOf"]) {
      if (json[key] === undefined) continue;
      this.#alone(json, key, path);
      const items = this.#list(json[key], `${path}.${key}`);
      if (key === "oneOf") this.#refuseOverlaps(items, `${path}.oneOf`);
      const at = (i: number) => `${path}.${key}[${i}]`;
      return this.alt(...items.map((item, i) => this.#value(item, at(i), depth + 1, chain)));
    }
    if (json.allOf !== undefined) return this.#joined(json, path, depth, chain);
    const key = json.const === undefined ? "enum" : "const";
    if (json[key] !== undefined) {
      this.#alone(json, key, path, "type");
      const values = key === "const" ? [json.const] : this.#list(json.enum, `${path}.enum`);
      const valid = values.filter((value) => hasType(value, json.type));
      return this.alt(...valid.map((value) => this.literal(JSON.stringify(value))));
    }
    const types = json.type === undefined ? inferred(json) : [json.type].flat();
    if (types.length === 0 || types.some((type) => !TYPES.includes(type as string))) {
      throw new SchemaError(`${path}.type`, "it is not a JSON type");
    }
    return this.alt(...types.map((type) => this.#typed(type as string, json, path, depth)));
  }

  #checkKeywords(json: Json, path: string): void {
    for (const key of Object.keys(json)) {
      if (KNOWN.has(key) || isIgnored(key, json[key]) || this.#isLoose) continue;
      throw new SchemaError(`${path}.${key.slice(0, 64)}`, "this keyword is not supported");
    }
  }

  /** Keywords side by side are a conjunction, which a grammar is not. */
  #alone(json: Json, keyword: string, path: string, beside = ""): void {
    if (this.#isLoose) return;
    for (const key of Object.keys(json)) {
      if (key === keyword || key === beside || isIgnored(key, json[key])) continue;
      throw new SchemaError(`${path}.${key}`, `it is not supported beside '${keyword}'`);
    }
  }

  #list(value: unknown, path: string): unknown[] {
    if (Array.isArray(value) && value.length > 0 && value.length <= LENGTH_MAX) return value;
    throw new SchemaError(path, `it is not a list of 1 to ${LENGTH_MAX} items`);
  }

  #reference(json: Json, path: string, depth: number, chain: Set<string>): Piece {
    this.#alone(json, "$ref", path);
    const name = json.$ref as string;
    const at = `${path}.$ref`;
    const target = this.#target(name, at);
    if (chain.has(name)) throw new SchemaError(at, "it refers to itself");
    // The whole schema's own rule stands already: it is being built.
    if (name === "#") return this.call(`${this.#scope}#`, () => this.range(0));
    return this.call(
      this.#scope + name,
      () => this.#value(target, path, depth + 1, new Set([...chain, name])),
    );
  }

  #target(name: unknown, path: string): unknown {
    const refers = typeof name === "string" && /^#(\/|$)/.test(name);
    let target: unknown = this.#schema;
    for (const part of refers ? name.split("/").slice(1) : []) {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const isObject = typeof target === "object" && target !== null && Object.hasOwn(target, key);
      target = isObject ? (target as Json)[key] : undefined;
    }
    if (refers && target !== undefined) return target;
    throw new SchemaError(path, "it refers to nothing in this schema");
  }

  /** What a schema refers to, if it does nothing else; references to references too. */
  #resolve: Resolve = (schema) => {
    let at = schema;
    for (let i = 0; i < SCHEMA_DEPTH_MAX; i++) {
      this.work.spend(4);
      if (typeof at !== "object" || at === null || (at as Json).$ref === undefined) return at;
      const { $ref: _, ...rest } = at as Json;
      if (Object.entries(rest).some(([key, value]) => !isIgnored(key, value))) return at;
      at = this.#target((at as Json).$ref, "");
    }
    return at;
  };

  /** Of branches that exclude each other, one alone is valid where any is. */
  #refuseOverlaps(items: unknown[], path: string): void {
    if (this.#isLoose) return;
    items.forEach((item, i) => {
      const other = items.slice(0, i).findIndex((it) => !areExclusive(it, item, this.#resolve));
      if (other < 0) return;
      const words = `it is not clear that it excludes 'oneOf[${other}]': use 'anyOf'`;
      throw new SchemaError(`${path}[${i}]`, words);
    });
  }

  /** A schema with `allOf`: as one. */
  #joined(json: Json, path: string, depth: number, chain: Set<string>): Piece {
    const { allOf, ...rest } = json;
    const parts = this.#list(allOf, `${path}.allOf`);
    const isAlone = Object.keys(rest).every((key) => isIgnored(key, rest[key]));
    if (isAlone && parts.length === 1) {
      return this.#value(parts[0], `${path}.allOf[0]`, depth + 1, chain);
    }
    const joined = this.#try(() => joinSchemas([rest, ...parts], path, this.#resolve)) ??
      rest;
    const key = JSON.stringify([joined, (joined as { [PATTERNS]?: unknown })[PATTERNS]]);
    this.work.spend(key.length >> 6);
    return this.call(
      `${this.#scope}+${key}`,
      () => this.#value(joined, path, depth + 1, chain),
    );
  }

  /** @returns Nothing where it cannot be kept and need not be. */
  #try<T>(body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      if (error instanceof SchemaError && this.#isLoose) return undefined;
      throw error;
    }
  }

  #typed(type: string, json: Json, path: string, depth: number): Piece {
    switch (type) {
      case "object":
        return this.#object(json, path, depth);
      case "array":
        return this.#array(json, path, depth);
      case "string":
        return this.#string(json, path);
      case "number":
      case "integer":
        return this.#number(json, type === "integer", path);
      case "boolean":
        return this.alt(this.literal("true"), this.literal("false"));
      default:
        return this.literal("null");
    }
  }

  #string(json: Json, path: string): Piece {
    // A format's texts may be shorter than any bound.
    const limit = json.format === undefined ? LENGTH_MAX : Number.MAX_SAFE_INTEGER;
    const [least, most] = this.#bounds(json, "minLength", "maxLength", limit, path);
    const text = this.#try(() => this.text(json, least, most, path));
    if (text === undefined && most === Infinity && least === 0) return this.string();
    const quote = this.range(0x22);
    return this.seq(quote, text ?? this.repeat(this.char(), least, most), quote);
  }

  #number(json: Json, isInteger: boolean, path: string): Piece {
    const bounded = this.#try(() => this.bounded(json, isInteger, path));
    return bounded ?? (isInteger ? this.integer() : this.number());
  }

  #bounds(json: Json, min: string, max: string, limit: number, path: string): [number, number] {
    for (const key of [min, max]) {
      const value = json[key];
      if (value === undefined) continue;
      if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= limit) continue;
      throw new SchemaError(`${path}.${key}`, `it is not an integer from 0 to ${limit}`);
    }
    const [least, most] = [json[min] as number ?? 0, json[max] as number ?? Infinity];
    if (least > most) throw new SchemaError(`${path}.${max}`, `it is less than '${min}'`);
    return [least, most];
  }

  #object(json: Json, path: string, depth: number): Piece {
    const properties = json.properties ?? {};
    const required = json.required ?? [];
    if (typeof properties !== "object" || Array.isArray(properties)) {
      throw new SchemaError(`${path}.properties`, "it is not an object");
    }
    if (!Array.isArray(required) || required.some((name) => typeof name !== "string")) {
      throw new SchemaError(`${path}.required`, "it is not a list of names");
    }
    const rest = json.additionalProperties ?? true;
    const needed = new Set<string>(required);
    const names = new Set([...Object.keys(properties as Json), ...needed]);
    const members = [...names].map((name) => {
      const own = Object.hasOwn(properties as Json, name);
      const schema = own ? (properties as Json)[name] : rest;
      const at = `${path}.properties.${name.slice(0, 64)}`;
      const value = this.#value(schema, at, depth + 1, new Set());
      return {
        piece: this.seq(this.literal(JSON.stringify(name)), this.colon(), value),
        isRequired: needed.has(name),
      };
    });
    if (members.length > 0) return this.braces(members);
    if (rest === false) return this.literal("{}");
    const value = this.#value(rest, `${path}.additionalProperties`, depth + 1, new Set());
    return this.freeObject(value);
  }

  #array(json: Json, path: string, depth: number): Piece {
    const [least, most] = this.#bounds(json, "minItems", "maxItems", ITEMS_MAX, path);
    const at = `${path}.items`;
    const item = this.#value(json.items ?? true, at, depth + 1, new Set());
    const rule = this.rules.push(item(GRAMMAR_END)) - 1;
    return this.brackets((next) => this.add({ kind: "call", rule, next }), least, most);
  }
}

function inferred(json: Json): string[] {
  if (json.properties !== undefined || json.required !== undefined) return ["object"];
  if (json.items !== undefined) return ["array"];
  return TYPES.filter((type) => type !== "integer");
}
