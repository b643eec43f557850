/** Which tokens may come next in a constrained answer: the model's vocabulary against a grammar.
 * @module */
import { assert } from "../proto/assert.ts";
import { compileAnswer } from "../proto/answer_grammar.ts";
import { GrammarAutomaton, type GrammarState } from "./grammar_state.ts";
import { StringTokens } from "./string_tokens.ts";

interface TokenizerJson {
  model: string;
  tokens: string[];
  token_types: number[] | null;
}

const TYPE_NORMAL = 1;
/** Of a vocabulary's additions, such as `<tool_call>`: spelled as it is. */
const TYPE_USER = 4;
const TYPE_BYTE = 6;
/** Grammars kept for the next request that brings one of them. */
const GRAMMARS_MAX = 64;

/** A vocabulary by its tokens' bytes. */
export class TokenMasks {
  readonly #all: SortedTokens;
  /** All but those that are plain characters. */
  readonly #others: SortedTokens;
  readonly #strings: StringTokens;
  readonly #bytesById = new Map<number, Uint8Array>();
  readonly #wordCount: number;
  /** Made when it is first asked for. */
  #idsByBytes: Map<string, number> | undefined;
  /** Insertion order is use. */
  readonly #grammars = new Map<string, GrammarAutomaton>();

  constructor(tokenizerJson: Uint8Array, vocabSize: number) {
    const tokenizer: TokenizerJson = JSON.parse(new TextDecoder().decode(tokenizerJson));
    this.#wordCount = Math.ceil(vocabSize / 32);
    const tokens: Token[] = [];
    tokenizer.tokens.slice(0, vocabSize).forEach((token, id) => {
      const bytes = bytesOf(tokenizer, token, id);
      if (bytes === undefined || bytes.length === 0 || bytes.length > 255) return;
      tokens.push({ id, bytes });
      this.#bytesById.set(id, bytes);
    });
    tokens.sort((a, b) => compareBytes(a.bytes, b.bytes));
    this.#all = sortedTokens(tokens);
    this.#strings = new StringTokens(this.#all.ids, this.#all.bytes, this.#wordCount);
    this.#others = sortedTokens(tokens.filter(({ id }) => !this.#strings.has(id)));
  }

  /** The start of an answer by `schema`, the text of an answer's form.
   * @throws {SchemaError | SyntaxError} */
  start(schema: string): GrammarState {
    let automaton = this.#grammars.get(schema);
    this.#grammars.delete(schema);
    automaton ??= new GrammarAutomaton(compileAnswer(JSON.parse(schema)));
    this.#grammars.set(schema, automaton);
    for (const oldest of this.#grammars.keys()) {
      if (this.#grammars.size <= GRAMMARS_MAX) break;
      this.#grammars.delete(oldest);
    }
    return automaton.start;
  }

  /** After a token more; `undefined` where the grammar does not allow it. */
  after(state: GrammarState, token: number): GrammarState | undefined {
    const bytes = this.#bytesById.get(token);
    let at: GrammarState | null = bytes === undefined ? null : state;
    for (const byte of bytes ?? []) at = at?.step(byte) ?? null;
    return at ?? undefined;
  }

  /** What a token stands for; `undefined` of control tokens. */
  bytesOf(token: number): Uint8Array | undefined {
    return this.#bytesById.get(token);
  }

  /** The longest token that `bytes` begin with. */
  longestToken(bytes: readonly number[]): number | undefined {
    this.#idsByBytes ??= new Map(
      this.#all.bytes.map((bytes, i) => [keyOf(bytes), this.#all.ids[i]!]),
    );
    for (let length = bytes.length; length > 0; length--) {
      const id = this.#idsByBytes.get(keyOf(bytes.slice(0, length)));
      if (id !== undefined) return id;
    }
    return undefined;
  }

  /** Shape `[ceil(vocabSize / 32)]`: the tokens that may come next, and `stops` where the answer
   * may end. */
  mask(state: GrammarState, stops: Iterable<number>): Uint32Array {
    state.mask ??= this.#maskOf(state);
    if (!state.accepts) return state.mask;
    const mask = state.mask.slice();
    for (const token of stops) mask[token >> 5]! |= 1 << (token & 31);
    return mask;
  }

  #maskOf(state: GrammarState): Uint32Array {
    const strings = this.#strings.mask(state);
    const mask = strings ?? new Uint32Array(this.#wordCount);
    const { ids, bytes, shared } = strings === undefined ? this.#all : this.#others;
    const path: (GrammarState | null)[] = [state];
    let deadAt = Infinity;
    for (let i = 0; i < ids.length; i++) {
      if (shared[i]! > deadAt) continue;
      deadAt = Infinity;
      const own = bytes[i]!;
      for (let depth = shared[i]!; depth < own.length; depth++) {
        const next: GrammarState | null = path[depth]!.step(own[depth]!);
        path[depth + 1] = next;
        if (next !== null) continue;
        deadAt = depth;
        break;
      }
      if (deadAt < Infinity) continue;
      const id = ids[i]!;
      mask[id >> 5]! |= 1 << (id & 31);
    }
    return mask;
  }
}

interface Token {
  id: number;
  bytes: Uint8Array;
}

/** Tokens in byte order, so that those with one beginning stand together. */
interface SortedTokens {
  ids: Uint32Array;
  bytes: Uint8Array[];
  /** Bytes that each has in common with the one before. */
  shared: Uint8Array;
}

/** @param tokens In byte order. */
function sortedTokens(tokens: readonly Token[]): SortedTokens {
  const shared = tokens.map(({ bytes }, i) => {
    let count = 0;
    const before = tokens[i - 1]?.bytes ?? [];
    while (count < before.length && before[count] === bytes[count]) count++;
    return count;
  });
  return {
    ids: Uint32Array.from(tokens, ({ id }) => id),
    bytes: tokens.map(({ bytes }) => bytes),
    shared: Uint8Array.from(shared),
  };
}

function keyOf(bytes: ArrayLike<number>): string {
  return String.fromCharCode(...Array.from(bytes));
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const count = Math.min(a.length, b.length);
  for (let i = 0; i < count; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

/** What a token stands for in a text; `undefined` for control tokens. */
function bytesOf(tokenizer: TokenizerJson, token: string, id: number): Uint8Array | undefined {
  const type = tokenizer.token_types?.[id] ?? TYPE_NORMAL;
  if (type === TYPE_BYTE) return Uint8Array.of(parseInt(token.slice(3, 5), 16));
  if (type === TYPE_USER) return new TextEncoder().encode(token);
  if (type !== TYPE_NORMAL) return undefined;
  if (tokenizer.model !== "gpt2") return new TextEncoder().encode(token.replaceAll("▁", " "));
  const bytes = Array.from(token, (char) => BYTES_OF_CHARS.get(char));
  return bytes.includes(undefined) ? undefined : Uint8Array.from(bytes as number[]);
}

/** GPT-2 spells bytes that have no glyph as characters from U+0100 on. */
const BYTES_OF_CHARS: ReadonlyMap<string, number> = (() => {
  const map = new Map<string, number>();
  let strange = 0;
  for (let byte = 0; byte < 256; byte++) {
    const plain = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    map.set(String.fromCharCode(plain ? byte : 256 + strange++), byte);
  }
  assert(strange === 68, "GPT-2's table has 68 bytes without a glyph");
  return map;
})();
