/** Tokens that are nothing but characters of a JSON string: where a grammar allows any character,
 * it allows them all, as far as their number does. They are nine tenths of a vocabulary, and most
 * of what walking it through a grammar would cost. Pure. @module */
import { UNUSUAL_CHARS } from "../proto/grammar_builder.ts";
import type { GrammarState } from "./grammar_state.ts";

/** Longer ones are walked like any other token. */
const CHARS_MAX = 48;
/** Any character that a string may hold as it is. */
const SAMPLE_CHAR = 0x61;
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class StringTokens {
  /** By `i`, the tokens of at most `i` characters. */
  readonly #masks: Uint32Array[] = [];
  readonly #ids: ReadonlySet<number>;

  constructor(ids: Uint32Array, bytes: readonly Uint8Array[], wordCount: number) {
    const own = new Set<number>();
    const byCount: number[][] = Array.from({ length: CHARS_MAX + 1 }, () => []);
    ids.forEach((id, i) => {
      const count = charCount(bytes[i]!);
      if (count === 0 || count > CHARS_MAX) return;
      byCount[count]!.push(id);
      own.add(id);
    });
    this.#ids = own;
    const mask = new Uint32Array(wordCount);
    for (const level of byCount) {
      for (const id of level) mask[id >> 5]! |= 1 << (id & 31);
      this.#masks.push(mask.slice());
    }
  }

  has(id: number): boolean {
    return this.#ids.has(id);
  }

  /** Those of them that may come next, or `undefined` where the state is not inside a string, or
   * where more of them may come than its characters allow. */
  mask(state: GrammarState): Uint32Array | undefined {
    if (!state.takesChars) return undefined;
    let room = 0;
    // Other ways on are left aside: the sample may be the very character that one of them takes.
    let at = state.ofChars;
    for (; at !== null && room < CHARS_MAX; room++) at = at.step(SAMPLE_CHAR)?.ofChars ?? null;
    // Where fewer may come, nothing else may: neither at first nor after some of them.
    let whole: GrammarState | null = state;
    for (let count = 0; count <= room && room < CHARS_MAX; count++) {
      if (!whole?.takesCharsAlone) return undefined;
      whole = whole.step(SAMPLE_CHAR);
    }
    return this.#masks[room]!.slice();
  }
}

/** Characters of a text that are the usual ones of a string; 0 where it holds another. */
function charCount(bytes: Uint8Array): number {
  try {
    const text = DECODER.decode(bytes);
    return UNUSUAL_CHARS.test(text) ? 0 : [...text].length;
  } catch {
    return 0; // Part of a character.
  }
}
