/** Sets of characters, as sorted ranges of code points; what a pattern's classes stand for. Pure.
 * @module */

/** `[low, high, low, high, …]`, both ends within, sorted, neither touching nor overlapping. */
export type CharSet = readonly number[];

/** One class as two sets: engines of regular expressions differ beyond ASCII, and with Unicode. */
export interface CharClass {
  /** What every engine takes it for. */
  sure: CharSet;
  /** What any of them does. */
  possible: CharSet;
}

const CODE_MAX = 0x10ffff;

export function union(...sets: readonly CharSet[]): CharSet {
  const ranges = sets.flatMap((set) => pairs(set)).sort((a, b) => a[0] - b[0]);
  const out: number[] = [];
  for (const [low, high] of ranges) {
    if (out.length > 0 && low <= out.at(-1)! + 1) out[out.length - 1] = Math.max(out.at(-1)!, high);
    else out.push(low, high);
  }
  return out;
}

/** Surrogates are in none: JSON text has whole characters alone. */
export function complement(set: CharSet): CharSet {
  const out: number[] = [];
  let from = 0;
  for (const [low, high] of pairs(union(set, [0xd800, 0xdfff]))) {
    if (low > from) out.push(from, low - 1);
    from = high + 1;
  }
  if (from <= CODE_MAX) out.push(from, CODE_MAX);
  return out;
}

export function contains(set: CharSet, code: number): boolean {
  let [low, high] = [0, set.length / 2];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (code > set[2 * middle + 1]!) low = middle + 1;
    else high = middle;
  }
  return 2 * low < set.length && set[2 * low]! <= code;
}

export function pairs(set: CharSet): [low: number, high: number][] {
  return Array.from({ length: set.length / 2 }, (_, i) => [set[2 * i]!, set[2 * i + 1]!]);
}

/** The coarsest parts of all characters that no set divides. */
export function partition(sets: readonly CharSet[]): CharSet[] {
  const edges = new Set([0, 0xd800, 0xe000]);
  for (const set of sets) for (const [low, high] of pairs(set)) edges.add(low).add(high + 1);
  const cuts = [...edges].filter((code) => code <= CODE_MAX).sort((a, b) => a - b);
  const parts = new Map<string, number[]>();
  cuts.forEach((low, i) => {
    if (low === 0xd800) return;
    const within = sets.map((set) => contains(set, low) ? "1" : "0").join("");
    const part = parts.get(within) ?? [];
    part.push(low, (cuts[i + 1] ?? CODE_MAX + 1) - 1);
    parts.set(within, part);
  });
  return [...parts.values()].map((part) => union(part));
}

export const ANY_CHAR: CharSet = complement([]);

const DIGIT: CharSet = [0x30, 0x39];
const WORD: CharSet = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];
const SPACE: CharSet = [0x09, 0x0d, 0x20, 0x20];
/** Of ECMA-262 and of Unicode together. */
const ANY_SPACE: CharSet = union(
  [0x09, 0x0d, 0x1c, 0x20, 0x85, 0x85, 0xa0, 0xa0, 0x1680, 0x1680, 0x180e, 0x180e],
  [0x2000, 0x200b, 0x2028, 0x2029, 0x202f, 0x202f, 0x205f, 0x2060, 0x3000, 0x3000, 0xfeff, 0xfeff],
);
/** Free of digits of any script, and large: no list of all that are. */
const NO_DIGITS: CharSet = union(
  [0x00, 0x2f, 0x3a, 0x65f, 0x1e00, 0xa61f, 0xac00, 0xd7ff, 0xf900, 0xff0f],
  [0x1f000, 0x1fbef, 0x20000, CODE_MAX],
);
/** Punctuation and symbols that are part of a word for nobody. */
const NO_WORDS: CharSet = union(
  [0x00, 0x2f, 0x3a, 0x40, 0x5b, 0x5e, 0x60, 0x60, 0x7b, 0x7f, 0xa0, 0xa9, 0xab, 0xb1, 0xb4, 0xb4],
  [0xb6, 0xb6, 0xb8, 0xb8, 0xbb, 0xbb, 0xbf, 0xbf, 0xd7, 0xd7, 0xf7, 0xf7, 0x2010, 0x2027],
  [0x2030, 0x203e, 0x20a0, 0x20c0, 0x2190, 0x23ff, 0x3001, 0x3003, 0x3008, 0x3020],
);

export const CLASSES: Readonly<Record<string, CharClass>> = {
  d: { sure: DIGIT, possible: complement(NO_DIGITS) },
  D: { sure: NO_DIGITS, possible: complement(DIGIT) },
  w: { sure: WORD, possible: complement(NO_WORDS) },
  W: { sure: NO_WORDS, possible: complement(WORD) },
  s: { sure: SPACE, possible: ANY_SPACE },
  S: { sure: complement(ANY_SPACE), possible: complement(SPACE) },
};

/** The dot: ECMA-262 leaves out four ends of lines, others one. */
export const DOT: CharClass = {
  sure: complement([0x0a, 0x0a, 0x0d, 0x0d, 0x2028, 0x2029]),
  possible: complement([0x0a, 0x0a]),
};

export function negated({ sure, possible }: CharClass): CharClass {
  return { sure: complement(possible), possible: complement(sure) };
}

/** Ranges of bytes, one after the other, that are the UTF-8 of a range of characters. */
export function utf8Ranges(low: number, high: number): [low: number, high: number][][] {
  for (const last of [0x7f, 0x7ff, 0xffff]) {
    if (low <= last && high > last) {
      return [...utf8Ranges(low, last), ...utf8Ranges(last + 1, high)];
    }
  }
  const [first, last] = [utf8Of(low), utf8Of(high)];
  for (let i = 1; i < first.length; i++) {
    const tail = 2 ** (6 * i) - 1;
    if ((low & ~tail) === (high & ~tail)) continue;
    const cut = (low & tail) !== 0
      ? (low | tail) + 1
      : (high & tail) !== tail
      ? high & ~tail
      : undefined;
    if (cut !== undefined) return [...utf8Ranges(low, cut - 1), ...utf8Ranges(cut, high)];
  }
  return [first.map((byte, i) => [byte, last[i]!])];
}

function utf8Of(code: number): number[] {
  return [...new TextEncoder().encode(String.fromCodePoint(code))];
}
