/** A JSON schema as a grammar over bytes: what a constrained answer may be. The gateway compiles
 * one to refuse what it cannot keep, the node to keep it. Pure.
 *
 * Answers are compact JSON: one space may follow a comma or a colon, properties come in the
 * schema's order. What the grammar allows is always valid by the schema, never the other way round.
 * @module */

import {
  type Grammar,
  GRAMMAR_END,
  GrammarBuilder,
  NUMBER_MAX,
  type Piece,
  SchemaError,
} from "./grammar_builder.ts";

export { type Grammar, GRAMMAR_END, SchemaError };

const VALUES_MAX = 10_000;
const LENGTH_MAX = 1024;
const ITEMS_MAX = 256;
const SCHEMA_DEPTH_MAX = 32;
const FREE_DEPTH_MAX = 8;
type Json = Record<string, unknown>;

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
]);
const KNOWN = new Set([
  ...["type", "enum", "const", "anyOf", "$ref", "properties", "required", "additionalProperties"],
  ...["items", "minItems", "maxItems", "minLength", "maxLength"],
]);
const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];

/** The grammar of `schema`; of any JSON object where there is none.
 * @throws {SchemaError} */
export function compileSchema(schema: unknown): Grammar {
  const compiler = new SchemaCompiler();
  return compiler.grammar(compiler.whole(schema, "schema"));
}

/** Several schemas may share one grammar: each is under a scope of its own. */
export class SchemaCompiler extends GrammarBuilder {
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
    const charNodes = this.startsOf("char");
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
    if (Object.keys(json).every((key) => IGNORED.has(key))) return this.free(FREE_DEPTH_MAX);
    if (json.$ref !== undefined) return this.#reference(json, path, depth, chain);
    if (json.anyOf !== undefined) {
      this.#alone(json, "anyOf", path);
      const items = this.#list(json.anyOf, `${path}.anyOf`);
      const at = (i: number) => `${path}.anyOf[${i}]`;
      return this.alt(...items.map((item, i) => this.#value(item, at(i), depth + 1, chain)));
    }
    if (json.const !== undefined) {
      this.#alone(json, "const", path, "type");
      return this.literal(JSON.stringify(json.const));
    }
    if (json.enum !== undefined) {
      this.#alone(json, "enum", path, "type");
      const values = this.#list(json.enum, `${path}.enum`);
      return this.alt(...values.map((value) => this.literal(JSON.stringify(value))));
    }
    const types = json.type === undefined ? inferred(json) : [json.type].flat();
    if (types.length === 0 || types.some((type) => !TYPES.includes(type as string))) {
      throw new SchemaError(`${path}.type`, "it is not a JSON type");
    }
    return this.alt(...types.map((type) => this.#typed(type as string, json, path, depth)));
  }

  #checkKeywords(json: Json, path: string): void {
    for (const [key, bound] of Object.entries(json)) {
      if (KNOWN.has(key) || IGNORED.has(key) || this.#isLoose) continue;
      // Bounds beyond any number of ours: what libraries write for "an integer".
      if (key === "minimum" && typeof bound === "number" && bound <= -NUMBER_MAX) continue;
      if (key === "maximum" && typeof bound === "number" && bound >= NUMBER_MAX) continue;
      throw new SchemaError(`${path}.${key.slice(0, 64)}`, "this keyword is not supported");
    }
  }

  /** Keywords side by side are a conjunction, which a grammar is not. */
  #alone(json: Json, keyword: string, path: string, beside = ""): void {
    if (this.#isLoose) return;
    for (const key of Object.keys(json)) {
      if (key === keyword || key === beside || IGNORED.has(key)) continue;
      throw new SchemaError(`${path}.${key}`, `it is not supported beside '${keyword}'`);
    }
  }

  #list(value: unknown, path: string): unknown[] {
    if (Array.isArray(value) && value.length > 0 && value.length <= LENGTH_MAX) return value;
    throw new SchemaError(path, `it is not a list of 1 to ${LENGTH_MAX} items`);
  }

  #reference(json: Json, path: string, depth: number, chain: Set<string>): Piece {
    this.#alone(json, "$ref", path);
    const name = json.$ref;
    const at = `${path}.$ref`;
    if (typeof name !== "string" || !/^#(\/|$)/.test(name)) {
      throw new SchemaError(at, "it refers to nothing in this schema");
    }
    if (chain.has(name)) throw new SchemaError(at, "it refers to itself");
    let target: unknown = this.#schema;
    for (const part of name.split("/").slice(1)) {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const isObject = typeof target === "object" && target !== null && Object.hasOwn(target, key);
      if (!isObject) throw new SchemaError(at, "it refers to nothing in this schema");
      target = (target as Json)[key];
    }
    // The whole schema's own rule stands already: it is being built.
    if (name === "#") return this.call(`${this.#scope}#`, () => this.range(0));
    return this.call(
      this.#scope + name,
      () => this.#value(target, path, depth + 1, new Set([...chain, name])),
    );
  }

  #typed(type: string, json: Json, path: string, depth: number): Piece {
    switch (type) {
      case "object":
        return this.#object(json, path, depth);
      case "array":
        return this.#array(json, path, depth);
      case "string": {
        const [least, most] = this.#bounds(json, "minLength", "maxLength", LENGTH_MAX, path);
        return most === Infinity && least === 0 ? this.string() : this.seq(
          this.range(0x22),
          this.repeat(this.char(), least, most),
          this.range(0x22),
        );
      }
      case "number":
        return this.number();
      case "integer":
        return this.integer();
      case "boolean":
        return this.alt(this.literal("true"), this.literal("false"));
      default:
        return this.literal("null");
    }
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
    if (members.length > 0) return this.#braces(members);
    if (rest === false) return this.literal("{}");
    const value = this.#value(rest, `${path}.additionalProperties`, depth + 1, new Set());
    return this.freeObject(value);
  }

  /** Members in order, the optional ones or not; a comma stands before all but the first. */
  #braces(members: { piece: Piece; isRequired: boolean }[]): Piece {
    return (next) => {
      const close = this.range(0x7d)(next);
      let first = close;
      let later = close;
      for (const { piece, isRequired } of members.toReversed()) {
        const own = piece(later);
        const skipFirst = first;
        first = isRequired ? own : this.add({ kind: "split", next: [own, skipFirst] });
        const after = this.comma()(own);
        later = isRequired ? after : this.add({ kind: "split", next: [after, later] });
      }
      return this.range(0x7b)(first);
    };
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

/** Drops branches that can never end, so that what is begun can always be finished.
 * @throws {SchemaError} If nothing is left. */
function prune({ nodes, rules, root }: Grammar): void {
  const ends = new Uint8Array(nodes.length);
  const reaches = (at: number) => at === GRAMMAR_END || ends[at] === 1;
  for (let changed = true; changed;) {
    changed = false;
    nodes.forEach((node, i) => {
      if (ends[i] === 1) return;
      const able = node.kind === "split"
        ? node.next.some(reaches)
        : reaches(node.next) && (node.kind === "bytes" || reaches(rules[node.rule]!));
      if (able) changed = (ends[i] = 1) === 1;
    });
  }
  if (!reaches(rules[root]!)) throw new SchemaError("", "no finite value is valid by it");
  for (const node of nodes) if (node.kind === "split") node.next = node.next.filter(reaches);
}
