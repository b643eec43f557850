/** Regular expressions of ECMA-262 that are regular, as automata of characters. Pure.
 *
 * What engines take differently is narrowed to what all of them allow: a digit is one of ASCII, and
 * `\W` has no letter of any script.
 * @module */
import {
  ANY_CHAR,
  type CharClass,
  type CharSet,
  CLASSES,
  DOT,
  negated,
  union,
} from "./char_set.ts";

/** `start` and `end` hold at a text's ends alone and take nothing. */
export type PatternNode =
  | { kind: "char"; set: CharSet; next: number }
  | { kind: "split"; next: number[] }
  | { kind: "start" | "end"; next: number };

/** Where a pattern has matched. */
export const PATTERN_END = -1;

/** A text is taken if it leads from `root` to the end; the whole of it, what is free included. */
export interface Pattern {
  nodes: readonly PatternNode[];
  root: number;
  /** From here on any text will do. */
  rest: number;
  /** A text is taken if it does not lead there. */
  isNegated: boolean;
}

/** What of a pattern cannot be kept. */
export class PatternError extends Error {
  override readonly name = "PatternError";
}

const NODES_MAX = 20_000;
const REPEATS_MAX = 1024;
const DEPTH_MAX = 32;
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };
/** Whatever must not follow a hexadecimal escape's digits is not a digit. */
const HEX_ESCAPE = /^(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]{1,6})\})/i;
const QUANTIFIER = /^(?:([*+?])|\{(\d{1,6})(?:(,)(\d{1,6})?)?\})\??/;

/** @returns Patterns that a text must all take: the one, and the look-aheads at its very start.
 * @throws {PatternError} */
export function parsePattern(text: string): Pattern[] {
  return new PatternParser(text).patterns();
}

/** Builds the automaton of a part whose end goes to `next`; gives its first node. */
type Part = (next: number) => number;

class PatternParser {
  readonly #chars: string[];
  #nodes: PatternNode[] = [];
  #at = 0;
  #depth = 0;
  /** Classes are as large as any engine has them: what is forbidden must be so for all. */
  #isNegated = false;

  constructor(text: string) {
    this.#chars = [...text];
  }

  patterns(): Pattern[] {
    const found: Pattern[] = [];
    if (/^\^\(\?[=!]/.test(this.#ahead(4))) {
      this.#at = 1;
      while (/^\(\?[=!]/.test(this.#ahead(3))) found.push(this.#lookAhead());
    }
    const isFixed = found.length > 0;
    const [part, branchCount] = this.#branches();
    if (this.#at < this.#chars.length) throw new PatternError("it has a ')' too many");
    if (isFixed && branchCount > 1) throw new PatternError("look-ahead is supported at '^' alone");
    return [this.#whole(isFixed ? this.#anchored(part) : part, false), ...found];
  }

  #lookAhead(): Pattern {
    const isNegated = this.#ahead(3) === "(?!";
    this.#at += 3;
    this.#isNegated = isNegated;
    const [part] = this.#branches();
    this.#isNegated = false;
    this.#expect(")");
    return this.#whole(this.#anchored(part), isNegated);
  }

  #anchored(part: Part): Part {
    return (next) => this.#add({ kind: "start", next: part(next) });
  }

  /** With any text on either side, as far as its anchors let it be. */
  #whole(part: Part, isNegated: boolean): Pattern {
    this.#nodes = [];
    const rest = this.#star((next) => this.#add({ kind: "char", set: ANY_CHAR, next }))(
      PATTERN_END,
    );
    const split: PatternNode = { kind: "split", next: [] };
    const root = this.#add(split);
    split.next.push(part(rest), this.#add({ kind: "char", set: ANY_CHAR, next: root }));
    return { nodes: this.#nodes, root, rest, isNegated };
  }

  #branches(): [part: Part, branchCount: number] {
    if (++this.#depth > DEPTH_MAX) throw new PatternError("it is nested too deeply");
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#depth--;
    const part: Part = (next) =>
      this.#add({ kind: "split", next: parts.map((part) => part(next)) });
    return [parts.length === 1 ? parts[0]! : part, parts.length];
  }

  #sequence(): Part {
    const parts: Part[] = [];
    while (this.#at < this.#chars.length && !["|", ")"].includes(this.#chars[this.#at]!)) {
      parts.push(this.#quantified());
    }
    return (next) => parts.reduceRight((at, part) => part(at), next);
  }

  #quantified(): Part {
    const isAnchor = ["^", "$"].includes(this.#chars[this.#at]!);
    const part = this.#atom();
    const quantifier = QUANTIFIER.exec(this.#ahead(20));
    if (quantifier === null) return part;
    if (isAnchor) throw new PatternError("an anchor cannot be repeated");
    this.#at += quantifier[0].length;
    if (QUANTIFIER.test(this.#ahead(20))) throw new PatternError("it repeats a repetition");
    const [, sign, from, comma, to] = quantifier;
    const least = sign === undefined ? Number(from) : sign === "+" ? 1 : 0;
    const bound = sign === "?" ? 1 : Infinity;
    const most = sign !== undefined ? bound : to !== undefined ? Number(to) : comma ? bound : least;
    if (least > most) throw new PatternError("it repeats fewer times than it must");
    if (least > REPEATS_MAX || (most > REPEATS_MAX && most < Infinity)) {
      throw new PatternError(`it repeats more than ${REPEATS_MAX} times`);
    }
    return (next) => {
      let at = most === Infinity ? this.#star(part)(next) : next;
      for (let i = least; i < most && most < Infinity; i++) {
        at = this.#add({ kind: "split", next: [part(at), next] });
      }
      for (let i = 0; i < least; i++) at = part(at);
      return at;
    };
  }

  #star(part: Part): Part {
    return (next) => {
      const split: PatternNode = { kind: "split", next: [next] };
      const at = this.#add(split);
      split.next.push(part(at));
      return at;
    };
  }

  #atom(): Part {
    const char = this.#chars[this.#at++]!;
    switch (char) {
      case "^":
      case "$": {
        const kind = char === "^" ? "start" : "end";
        return (next) => this.#add({ kind, next });
      }
      case "(":
        return this.#group();
      case "[":
        return this.#one(this.#class());
      case ".":
        return this.#one(DOT);
      case "\\":
        return this.#one(this.#escape(false));
      case "*":
      case "+":
      case "?":
        throw new PatternError(`it has a '${char}' after nothing`);
      case "{":
        throw new PatternError("a '{' that repeats nothing must be escaped");
      default:
        return this.#one(classOf(char.codePointAt(0)!));
    }
  }

  #one({ sure, possible }: CharClass): Part {
    const set = this.#isNegated ? possible : sure;
    return (next) => this.#add({ kind: "char", set, next });
  }

  #group(): Part {
    const kind = /^\?(?:<?[=!]|:|<[A-Za-z_$][\w$]*>)?/.exec(this.#ahead(80))?.[0] ?? "";
    if (/<[=!]/.test(kind)) throw new PatternError("look-behind is not supported");
    if (/[=!]/.test(kind)) throw new PatternError("look-ahead is supported at '^' alone");
    if (kind === "?") throw new PatternError("flags and other groups with '(?' are not supported");
    this.#at += kind.length;
    const [part] = this.#branches();
    this.#expect(")");
    return part;
  }

  #class(): CharClass {
    const isNegated = this.#take("^");
    if (this.#chars[this.#at] === "]") throw new PatternError("an empty class is not supported");
    const sure: CharSet[] = [];
    const possible: CharSet[] = [];
    while (!this.#take("]")) {
      const first = this.#classAtom();
      let own = first;
      if (this.#ahead(1) === "-" && this.#chars[this.#at + 1] !== "]") {
        this.#at++;
        const last = this.#classAtom();
        const [low, high] = [onlyOf(first), onlyOf(last)];
        if (low === undefined || high === undefined || low > high) {
          throw new PatternError("a class has a range that is none");
        }
        own = { sure: [low, high], possible: [low, high] };
      }
      sure.push(own.sure);
      possible.push(own.possible);
    }
    const all = { sure: union(...sure), possible: union(...possible) };
    return isNegated ? negated(all) : all;
  }

  #classAtom(): CharClass {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw new PatternError("it has a '[' that is not closed");
    return char === "\\" ? this.#escape(true) : classOf(char.codePointAt(0)!);
  }

  #escape(isInClass: boolean): CharClass {
    const char = this.#chars[this.#at];
    if (char === undefined) throw new PatternError("it ends in a backslash");
    const hex = HEX_ESCAPE.exec(this.#ahead(9));
    if (hex !== null) return classOf(this.#hexCode(hex));
    this.#at++;
    if (Object.hasOwn(CLASSES, char)) return CLASSES[char]!;
    if (Object.hasOwn(CONTROLS, char)) return classOf(CONTROLS[char]!);
    if (isInClass && char === "b") return classOf(8);
    if (/[bB]/.test(char)) {
      throw new PatternError(`word boundaries ('\\${char}') are not supported`);
    }
    if (/[1-9k]/.test(char)) throw new PatternError("references to groups are not supported");
    if (/[\w\x80-\uffff]/.test(char)) throw new PatternError(`'\\${char}' is not supported`);
    return classOf(char.codePointAt(0)!);
  }

  /** Two escapes may be the halves of one character. */
  #hexCode(hex: RegExpExecArray): number {
    this.#at += hex[0].length;
    const code = parseInt(hex[1] ?? hex[2] ?? hex[3]!, 16);
    const low = /^\\u(d[c-f][0-9a-f]{2})/i.exec(this.#ahead(6));
    if (hex[2] !== undefined && code >= 0xd800 && code < 0xdc00 && low !== null) {
      this.#at += 6;
      return 0x10000 + ((code - 0xd800) << 10) + (parseInt(low[1]!, 16) - 0xdc00);
    }
    return code;
  }

  #add(node: PatternNode): number {
    if (this.#nodes.length >= NODES_MAX) throw new PatternError("it is too large");
    return this.#nodes.push(node) - 1;
  }

  #ahead(count: number): string {
    return this.#chars.slice(this.#at, this.#at + count).join("");
  }

  #take(char: string): boolean {
    const isThere = this.#chars[this.#at] === char;
    if (isThere) this.#at++;
    return isThere;
  }

  #expect(char: string): void {
    if (!this.#take(char)) throw new PatternError("it has a group that is not closed");
  }
}

function classOf(code: number): CharClass {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    throw new PatternError("it has half of a character");
  }
  return { sure: [code, code], possible: [code, code] };
}

function onlyOf({ sure }: CharClass): number | undefined {
  return sure.length === 2 && sure[0] === sure[1] ? sure[0] : undefined;
}
