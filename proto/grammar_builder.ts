/** Pieces of a grammar over bytes, and those of JSON. Pure. @module */

/** Nodes of an automaton whose calls push where to go on; -1 is the end of a rule. */
export type GrammarNode =
  | { kind: "bytes"; low: number; high: number; next: number }
  | { kind: "split"; next: number[] }
  | { kind: "call"; rule: number; next: number };

export interface Grammar {
  nodes: GrammarNode[];
  /** First node of each rule. */
  rules: number[];
  /** The rule of the whole answer. */
  root: number;
  /** First nodes of the rules of any one character of a string, but `UNUSUAL_CHARS`. */
  charNodes: ReadonlySet<number>;
}

const NODES_MAX = 50_000;
/** Of a number: so many a double keeps. */
export const DIGITS_MAX = 15;
/** Every number of a grammar lies strictly between this and its negative. */
export const NUMBER_MAX = 10 ** DIGITS_MAX;
export const GRAMMAR_END = -1;
/** What a string spells as escapes, and what a pattern's dot leaves out. */
// deno-lint-ignore no-control-regex
export const UNUSUAL_CHARS = /[\x00-\x1f"\\\x7f\u2028\u2029]/;

/** What of a schema cannot be kept, and where. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
  constructor(readonly path: string, message: string) {
    super(message);
  }
}

/** Builds a piece whose end goes to `next`; gives its first node. */
export type Piece = (next: number) => number;
/** Builds a grammar from its end to its start. */
export class GrammarBuilder {
  readonly nodes: GrammarNode[] = [];
  readonly rules: number[] = [];
  readonly named = new Map<string, number>();
  /** Names of rules that take any character of a string but `UNUSUAL_CHARS`. */
  readonly charRules = new Set(["char"]);

  add(node: GrammarNode): number {
    if (this.nodes.length >= NODES_MAX) throw new SchemaError("", "it is too large");
    return this.nodes.push(node) - 1;
  }

  range = (low: number, high = low): Piece => (next) =>
    this.add({ kind: "bytes", low, high, next });
  seq = (...pieces: Piece[]): Piece => (next) => pieces.reduceRight((at, piece) => piece(at), next);
  alt = (...pieces: Piece[]): Piece => (next) =>
    this.add({ kind: "split", next: pieces.map((piece) => piece(next)) });
  optional = (piece: Piece): Piece => (next) =>
    this.add({ kind: "split", next: [piece(next), next] });
  literal = (text: string): Piece =>
    this.seq(...Array.from(new TextEncoder().encode(text), (byte) => this.range(byte)));
  star = (piece: Piece): Piece => (next) => {
    const split: GrammarNode = { kind: "split", next: [next] };
    const at = this.add(split);
    split.next.unshift(piece(at));
    return at;
  };
  /** `least` to `most` times; without bound where `most` is infinite. */
  repeat = (piece: Piece, least: number, most: number): Piece => (next) => {
    let at = next;
    if (most === Infinity) at = this.star(piece)(at);
    else {for (let i = least; i < most; i++) {
        at = this.add({ kind: "split", next: [piece(at), next] });
      }}
    for (let i = 0; i < least; i++) at = piece(at);
    return at;
  };

  /** A rule is compiled once; its name stands before its body, so it may call itself. */
  rule(name: string, body: () => Piece): number {
    const known = this.named.get(name);
    if (known !== undefined) return known;
    const rule = this.rules.push(GRAMMAR_END) - 1;
    this.named.set(name, rule);
    this.rules[rule] = body()(GRAMMAR_END);
    return rule;
  }

  call = (name: string, body: () => Piece): Piece => {
    const rule = this.rule(name, body);
    return (next) => this.add({ kind: "call", rule, next });
  };

  /** Where the rule `name` begins, splits followed; none if there is no such rule. */
  startsOf(name: string): Set<number> {
    const starts = new Set<number>();
    const rule = this.named.get(name);
    const waiting = rule === undefined ? [] : [this.rules[rule]!];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      const node = this.nodes[at]!;
      if (node.kind === "split") waiting.push(...node.next);
      else starts.add(at);
    }
    return starts;
  }

  brackets(item: Piece, least: number, most: number): Piece {
    const [open, close] = [this.range(0x5b), this.range(0x5d)];
    if (most === 0) return this.seq(open, close);
    const more = this.repeat(this.seq(this.comma(), item), Math.max(0, least - 1), most - 1);
    const items = this.seq(item, more);
    return this.seq(open, least === 0 ? this.optional(items) : items, close);
  }

  /** Members in order, the optional ones or not; a comma stands before all but the first. */
  braces(members: { piece: Piece; isRequired: boolean }[]): Piece {
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

  comma = (): Piece => this.seq(this.range(0x2c), this.optional(this.range(0x20)));
  colon = (): Piece => this.seq(this.range(0x3a), this.optional(this.range(0x20)));

  freeObject(value: Piece): Piece {
    const member = this.seq(this.string(), this.colon(), value);
    const members = this.seq(member, this.star(this.seq(this.comma(), member)));
    return this.seq(this.range(0x7b), this.optional(members), this.range(0x7d));
  }

  /** Any JSON value, `depth` levels deep at most: an answer should come to an end. */
  free(depth: number): Piece {
    return this.call(`free ${depth}`, () => {
      const flat = [this.string(), this.number()];
      for (const word of ["true", "false", "null"]) flat.push(this.literal(word));
      if (depth === 0) return this.alt(...flat);
      const inner = this.free(depth - 1);
      return this.alt(...flat, this.brackets(inner, 0, Infinity), this.freeObject(inner));
    });
  }

  digit = (): Piece => this.range(0x30, 0x39);
  integer = (): Piece =>
    this.call("integer", () => {
      const more = this.repeat(this.digit(), 0, DIGITS_MAX - 1);
      const positive = this.seq(this.range(0x31, 0x39), more);
      return this.alt(this.range(0x30), this.seq(this.optional(this.range(0x2d)), positive));
    });
  number = (): Piece =>
    this.call("number", () => {
      const fraction = this.seq(this.range(0x2e), this.repeat(this.digit(), 1, DIGITS_MAX));
      const minusZero = this.seq(this.range(0x2d), this.range(0x30), fraction);
      return this.alt(this.seq(this.integer(), this.optional(fraction)), minusZero);
    });

  string = (): Piece =>
    this.call("string", () => {
      return this.seq(this.range(0x22), this.star(this.char()), this.range(0x22));
    });

  /** One character: UTF-8 as RFC 3629 has it, or an escape; no half of a surrogate pair. */
  char = (): Piece =>
    this.call("char", () => {
      const r = this.range;
      const tail = r(0x80, 0xbf);
      const hex = this.alt(r(0x30, 0x39), r(0x61, 0x66));
      const escapes = [0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74].map((byte) => r(byte));
      const unicode = this.seq(r(0x75), r(0x30), r(0x30), hex, hex);
      return this.alt(
        r(0x20, 0x21),
        r(0x23, 0x5b),
        r(0x5d, 0x7e),
        this.seq(r(0x5c), this.alt(...escapes, unicode)),
        this.seq(r(0xc2, 0xdf), tail),
        this.seq(r(0xe0), r(0xa0, 0xbf), tail),
        this.seq(this.alt(r(0xe1, 0xec), r(0xee, 0xef)), tail, tail),
        this.seq(r(0xed), r(0x80, 0x9f), tail),
        this.seq(r(0xf0), r(0x90, 0xbf), tail, tail),
        this.seq(r(0xf1, 0xf3), tail, tail, tail),
        this.seq(r(0xf4), r(0x80, 0x8f), tail, tail),
      );
    });
}

/** Drops branches that can never end, so that what is begun can always be finished.
 * @throws {SchemaError} If nothing is left. */
export function prune({ nodes, rules, root }: Grammar): void {
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
