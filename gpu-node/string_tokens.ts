/** Tokens that are nothing but characters of a JSON string: where a grammar allows any character,
 * it allows them all, as far as their number does. They are nine tenths of a vocabulary, and most
 * of what walking it through a grammar would cost. Pure. @module */
import type { GrammarState } from "./grammar_state.ts";

/** Longer ones are walked like any other token. */
const CHARS_MAX = 48;
/** Any character that a string may hold as it is. */
const SAMPLE_CHAR = 0x61;
const DECODER = new TextDecoder("utf-8", { fatal: true });

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
    for (let at: GrammarState | null = state; at?.takesChars && room < CHARS_MAX; room++) {
      at = at.step(SAMPLE_CHAR);
    }
    if (room < CHARS_MAX && !state.takesCharsAlone) return undefined;
    return this.#masks[room]!.slice();
  }
}

/** Characters of a text that a string may hold unescaped; 0 where it holds another byte. */
function charCount(bytes: Uint8Array): number {
  for (const byte of bytes) {
    if (byte < 0x20 || byte === 0x22 || byte === 0x5c || byte === 0x7f) return 0;
  }
  try {
    return [...DECODER.decode(bytes)].length;
  } catch {
    return 0; // Part of a character.
  }
}
