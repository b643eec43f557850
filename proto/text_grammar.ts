/** Strings and numbers of a schema by what it says of them: pattern, format, length, bounds. Pure.
 * @module */
import { GrammarBuilder, NUMBER_MAX, type Piece, SchemaError } from "./grammar_builder.ts";
import { boundMachine, type Comparison, multipleMachine, numberForm } from "./number_machine.ts";
import { parsePattern, PatternError } from "./pattern_parser.ts";
import { formatPattern, LOCAL_TIME, PATTERNS_OF_FORMATS, TEXT_FORMATS } from "./text_formats.ts";
import {
  joinMachines,
  lengthMachine,
  patternMachine,
  type TextGraph,
  type TextMachine,
  Work,
} from "./text_machine.ts";
import { graphPiece } from "./text_piece.ts";

const PATTERN_CHARS_MAX = 4096;
const COMPARISONS = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"] as const;
type Json = Record<string, unknown>;

export const TEXT_KEYWORDS = ["pattern", "format"];
export const NUMBER_KEYWORDS = [...COMPARISONS, "multipleOf"];
/** Patterns that one value must match, of schemas that were joined. No schema can bring it. */
export const PATTERNS = Symbol("patterns");

interface TextRules {
  patterns: string[];
  format: string | undefined;
  least: number;
  most: number;
}

/** Adds strings and numbers that keep to rules. */
export class TextBuilder extends GrammarBuilder {
  protected readonly work = new Work();

  /** What stands between the quotes; nothing where any text of that length will do.
   * @throws {SchemaError} */
  text(json: Json, least: number, most: number, path: string): Piece | undefined {
    const rules = readTextRules(json, least, most, path);
    if (rules === undefined) return undefined;
    return this.#graph(`text ${JSON.stringify(rules)}`, () => textGraph(rules, this.work, path));
  }

  /** @throws {SchemaError} */
  bounded(json: Json, isInteger: boolean, path: string): Piece | undefined {
    const keys = NUMBER_KEYWORDS.filter((key) => json[key] !== undefined);
    if (keys.length === 0) return undefined;
    const name = `number ${isInteger} ${JSON.stringify(keys.map((key) => [key, json[key]]))}`;
    return this.#graph(name, () => numberGraph(json, isInteger, this.work, path));
  }

  /** A rule of its own: thousands of fields may have one form. */
  #graph(name: string, body: () => TextGraph): Piece {
    // Made before the rule is named, which would else stand empty where it cannot be made.
    const graph = this.named.has(name) ? undefined : remembered(name, this.work, body);
    return this.call(name, () => graphPiece(this, graph!));
  }
}

/** Most requests ask for the same: an e-mail address takes longer than all else of a schema. */
const GRAPHS = new Map<string, { graph: TextGraph; work: number }>();
/** States of all of them together, and characters of their names. */
const KEPT_MAX = 1 << 16;
let kept = 0;

function sizeOf(name: string): number {
  const known = GRAPHS.get(name);
  return known === undefined ? 0 : known.graph.accepts.length + name.length;
}

function forget(name: string): void {
  kept -= sizeOf(name);
  GRAPHS.delete(name);
}

/** Insertion order is use. The work counts each time: a schema that a gateway takes, any node does,
 * whatever either has seen before. */
function remembered(name: string, work: Work, body: () => TextGraph): TextGraph {
  const known = GRAPHS.get(name);
  const before = work.spent;
  if (known !== undefined) work.spend(known.work);
  const graph = known?.graph ?? body();
  forget(name);
  GRAPHS.set(name, { graph, work: work.spent - before });
  kept += sizeOf(name);
  for (const oldest of GRAPHS.keys()) {
    if (kept <= KEPT_MAX) break;
    forget(oldest);
  }
  return graph;
}

/** @returns Nothing where any text of that length will do.
 * @throws {SchemaError} */
function readTextRules(json: Json, least: number, most: number, path: string) {
  const { pattern, format } = json;
  const joined = (json as { [PATTERNS]?: string[] })[PATTERNS];
  const patterns = joined ?? (pattern === undefined ? [] : [pattern]);
  for (const text of patterns) {
    if (typeof text === "string" && text.length <= PATTERN_CHARS_MAX) continue;
    const words = `it is not a string of at most ${PATTERN_CHARS_MAX} characters`;
    throw new SchemaError(`${path}.pattern`, words);
  }
  if (patterns.length === 0 && format === undefined) return undefined;
  const isKnown = typeof format === "string" && Object.hasOwn(TEXT_FORMATS, format);
  // What nobody has defined says nothing beside a pattern, such as Zod's `starts_with`.
  if (!isKnown && (typeof format !== "string" || patterns.length === 0) && format !== undefined) {
    throw new SchemaError(`${path}.format`, "this format is not supported");
  }
  const isLocal = format === "time" && patterns.includes(LOCAL_TIME);
  const known = isKnown && !isLocal ? format as string : undefined;
  return { patterns: patterns as string[], format: known, least, most } satisfies TextRules;
}

/** @throws {SchemaError} */
function textGraph(rules: TextRules, work: Work, path: string): TextGraph {
  const { format, least } = rules;
  const machines: TextMachine[] = [];
  for (const pattern of rules.patterns) {
    if (format !== undefined && PATTERNS_OF_FORMATS[format] === pattern) continue;
    machines.push(...machinesOf(pattern, work, `${path}.pattern`));
  }
  let most = rules.most;
  if (format !== undefined) {
    const kept = formatPattern(format, most);
    machines.push(...machinesOf(kept.pattern, work, `${path}.format`));
    most = kept.most;
  }
  if (least > 0 || most < Infinity) machines.push(lengthMachine(least, most));
  const at = rules.patterns.length > 0 ? "pattern" : "format";
  return placed(`${path}.${at}`, () => joinMachines(machines, work));
}

function machinesOf(pattern: string, work: Work, path: string): TextMachine[] {
  try {
    return parsePattern(pattern).map((own) => patternMachine(own, work));
  } catch (error) {
    if (error instanceof PatternError) throw new SchemaError(path, error.message);
    throw error;
  }
}

/** @throws {SchemaError} */
function numberGraph(json: Json, isInteger: boolean, work: Work, path: string) {
  const machines = [numberForm(isInteger)];
  for (const key of NUMBER_KEYWORDS) {
    const value = json[key];
    if (value === undefined) continue;
    const at = `${path}.${key}`;
    if (typeof value !== "number") throw new SchemaError(at, "it is not a number");
    if (key === "multipleOf") {
      machines.push(placed(at, () => multipleMachine(value, isInteger)));
      continue;
    }
    const isLower = key.endsWith("inimum");
    if (Math.abs(value) >= NUMBER_MAX) {
      // Beyond any number of ours: what libraries write for "an integer".
      if (isLower === value < 0) continue;
      throw new SchemaError(at, "numbers have 15 digits at most");
    }
    machines.push(placed(at, () => boundMachine(key as Comparison, value)));
  }
  const last = NUMBER_KEYWORDS.findLast((key) => json[key] !== undefined);
  return placed(`${path}.${last}`, () => joinMachines(machines, work));
}

/** Runs what knows nothing of its place in a schema. */
function placed<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof SchemaError) throw new SchemaError(path, error.message);
    throw error;
  }
}
