/** Keeps what clients write from becoming special tokens once a template has put it in place. Pure.
 *
 * The template's own `<|im_end|>` must be parsed as a token and a client's must not, but after
 * rendering they look the same. So before rendering, in each of the client's strings, the first
 * character of every stretch that could be part of a special token's text is replaced by a
 * private-use character; afterwards the text is cut at the special tokens that are left, which are
 * the template's, and the characters are put back. The tokenizer itself cuts there before all else,
 * so a prompt without such stretches gets exactly the ids of plain rendering.
 *
 * What stands beside a string may complete a token too (`<|` of one message, `im_end|>` of the
 * next), so a part of a special token at either end of a string counts as a stretch. User-defined
 * tokens, which the tokenizer matches in any text, are no matter: they steer nothing.
 * @module */

/** Characters of all special tokens together: 100 times those of any vocabulary in use. */
const SPECIAL_CHARS_MAX = 1 << 20;

const PRIVATE_USE_FIRST = 0xe000;
const PRIVATE_USE_LAST = 0xf8ff;

/** A piece of a rendered prompt. */
export type Segment =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "special"; readonly text: string };

/** A model's special tokens, prepared once. */
export class SpecialTexts {
  readonly #texts: readonly string[];
  /** Their proper beginnings and endings. */
  readonly #heads = new Set<string>();
  readonly #tails = new Set<string>();
  readonly #lengthMax: number;
  readonly #pattern: RegExp | undefined;

  /** @param texts What the model's special tokens spell.
   * @throws {RangeError} If they are too many to be a tokenizer's. */
  constructor(texts: Iterable<string>) {
    // The longest first, so that of two tokens at one place the pattern takes the longer.
    this.#texts = [...new Set(texts)].filter((t) => t !== "").sort((a, b) => b.length - a.length);
    const chars = this.#texts.reduce((sum, text) => sum + text.length, 0);
    if (chars > SPECIAL_CHARS_MAX) {
      throw new RangeError(`Cannot use the special tokens: they have ${chars} characters`);
    }
    this.#lengthMax = this.#texts[0]?.length ?? 0;
    for (const text of this.#texts) {
      for (let i = 1; i < text.length; ++i) {
        this.#heads.add(text.slice(0, i));
        this.#tails.add(text.slice(i));
      }
    }
    const pattern = this.#texts.map(escapePattern).join("|");
    this.#pattern = pattern === "" ? undefined : new RegExp(pattern, "g");
  }

  /** Where in `text` a stretch begins that could be part of a special token. */
  stretches(text: string): Set<number> {
    const starts = new Set<number>();
    if (this.#pattern === undefined || text === "") return starts;
    this.#pattern.lastIndex = 0;
    for (let match = this.#pattern.exec(text); match; match = this.#pattern.exec(text)) {
      starts.add(match.index);
      this.#pattern.lastIndex = match.index + 1; // Another may begin inside this one.
    }
    const lengthMax = Math.min(text.length, this.#lengthMax - 1);
    for (let length = 1; length <= lengthMax; ++length) {
      if (this.#heads.has(text.slice(-length))) starts.add(text.length - length);
      if (this.#tails.has(text.slice(0, length))) starts.add(0);
    }
    const isInside = text.length < this.#lengthMax && this.#texts.some((t) => t.includes(text));
    if (isInside) starts.add(0);
    return starts;
  }

  /** Cuts a rendered text at its special tokens, leftmost and longest first. */
  segments(text: string): Segment[] {
    const segments: Segment[] = [];
    let end = 0;
    for (const match of this.#pattern === undefined ? [] : text.matchAll(this.#pattern)) {
      if (match.index > end) segments.push({ kind: "text", text: text.slice(end, match.index) });
      segments.push({ kind: "special", text: match[0] });
      end = match.index + match[0].length;
    }
    if (end < text.length) segments.push({ kind: "text", text: text.slice(end) });
    return segments;
  }
}

/** Hides such stretches in the strings of one request, and finds them again. */
export class TextMask {
  readonly #specials: SpecialTexts;
  readonly #texts: readonly string[];
  /** Private-use characters that the request holds; read when the first mask is needed, which for
   * almost all requests is never. */
  #used: ReadonlySet<string> | undefined;
  #nextCode = PRIVATE_USE_FIRST;
  readonly #masks = new Map<string, string>();
  readonly #originals = new Map<string, string>();

  /** @param texts All that goes into the prompt, the template included. */
  constructor(specials: SpecialTexts, texts: readonly string[]) {
    this.#specials = specials;
    this.#texts = texts;
  }

  /** Whether anything was hidden. */
  get used(): boolean {
    return this.#masks.size > 0;
  }

  /** @throws {RangeError} If the request uses up the private-use characters. */
  hide(text: string): string {
    const found = this.#specials.stretches(text);
    if (found.size === 0) return text;
    const starts = [...found].sort((a, b) => a - b);
    let hidden = "";
    let end = 0;
    for (const start of starts) {
      hidden += text.slice(end, start) + this.#mask(text[start]!);
      end = start + 1;
    }
    return hidden + text.slice(end);
  }

  restore(text: string): string {
    return text.replace(/[\ue000-\uf8ff]/g, (char) => this.#originals.get(char) ?? char);
  }

  #mask(original: string): string {
    const known = this.#masks.get(original);
    if (known !== undefined) return known;
    const mask = this.#freeChar();
    this.#masks.set(original, mask);
    this.#originals.set(mask, original);
    return mask;
  }

  #freeChar(): string {
    this.#used ??= privateUseChars(this.#texts);
    while (this.#nextCode <= PRIVATE_USE_LAST) {
      const char = String.fromCharCode(this.#nextCode++);
      if (!this.#used.has(char)) return char;
    }
    throw new RangeError("Cannot protect the prompt: it uses every private-use character");
  }
}

function privateUseChars(texts: readonly string[]): Set<string> {
  const chars = new Set<string>();
  for (const text of texts) {
    for (const [char] of text.matchAll(/[\ue000-\uf8ff]/g)) chars.add(char);
  }
  return chars;
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
