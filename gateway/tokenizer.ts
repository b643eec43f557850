/** A model's tokenizer: text to token ids and back. @module */
import { assert } from "../proto/assert.ts";
import { type Detokenizer, Tokenizer } from "../kernels/glue/mod.ts";
import { PromptTooLongError } from "./served_model.ts";

/** The model file's tokenizer cannot be used. Its words name what is wrong with it. */
export class TokenizerError extends Error {
  override readonly name = "TokenizerError";
}

export interface EncodeOptions {
  /** Text that reads like a special token becomes that token. For text that we wrote, never for a
   * client's: who writes `<|im_end|>` must not end a message. */
  parseSpecial: boolean;
}

/** Characters of a token, at most, in nearly all texts. */
const TOKEN_CHARS = 16;
/** What a cut may change of the count before it. */
const CUT_TOKENS = 256;

export interface DecodeOptions {
  /** Leaves special tokens out of the text. */
  skipSpecial: boolean;
}

/** Text for tokens as they come. What it gives, joined, is `decode()` of all the ids. */
export interface TextStream {
  /** The text that `ids` complete; a character whose bytes have not all come is held back. */
  push(ids: Uint32Array): string;
  /** The stream has ended: what was held back, as U+FFFD. */
  flush(): string;
  /** Its memory is wasm's: free it as soon as the answer ends. */
  free(): void;
}

/** Texts of control tokens that end an answer, beside the EOS token: a file names one EOS token,
 * and a model tuned to chat ends its turn with another. llama.cpp knows them by the same texts. */
const END_TEXTS = [
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|end|>",
  "<|end_of_text|>",
  "<|endoftext|>",
  "<end_of_turn>",
  "<end_of_utterance>",
  "<|return|>",
  "<EOT>",
  "</s>",
] as const;

/** Built once per model; it is immutable, so that all requests share it. */
export class ModelTokenizer {
  /** Ids are `0` to `vocabSize - 1`. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** Tokens that end an answer. */
  readonly endIds: readonly number[];
  /** Control and unknown tokens. */
  readonly specialIds: ReadonlySet<number>;
  /** The same by the text that spells them. */
  readonly idsBySpecialText: ReadonlyMap<string, number>;
  /** Whether a prompt of this model starts with its BOS token. */
  readonly addBos: boolean;
  /** The file's own template, Jinja; `undefined` if it has none. */
  readonly chatTemplate: string | undefined;
  /** The names under which templates know special tokens. */
  readonly templateTokens: Readonly<Record<string, string>>;
  readonly #tokenizer: Tokenizer;
  readonly #decoder = new TextDecoder();

  /** @param json The model file's tokenizer, as `redraft_tokenizer` of the C ABI gives it.
   * @throws {TokenizerError} If it is malformed or of a kind that is not supported. */
  constructor(json: Uint8Array) {
    this.#tokenizer = newTokenizer(json);
    this.vocabSize = this.#tokenizer.vocabSize;
    this.bosId = this.#tokenizer.bosId;
    this.eosId = this.#tokenizer.eosId;
    this.addBos = this.#tokenizer.addBos;
    this.specialIds = new Set(this.#tokenizer.specialIds);
    this.idsBySpecialText = new Map([...this.specialIds].map((id) => [this.#text(id), id]));
    this.endIds = endIds(this.eosId, this.idsBySpecialText);
    this.chatTemplate = this.#tokenizer.chatTemplate;
    this.templateTokens = {
      bos_token: this.#text(this.bosId),
      eos_token: this.#text(this.eosId),
      unk_token: this.#text(this.#tokenizer.unknownId),
      pad_token: this.#text(this.#tokenizer.paddingId),
    };
  }

  /** Token ids of `text`, with no BOS token added. */
  encode(text: string, options: EncodeOptions): Uint32Array {
    return this.#tokenizer.encode(text, options.parseSpecial);
  }

  /** As `encode()`, but of a text that has far more than `tokensMax` no more is encoded than shows
   * it: megabytes of blanks take seconds, in which nobody else is served.
   * @throws {PromptTooLongError} */
  encodeBounded(text: string, options: EncodeOptions, tokensMax = Infinity): Uint32Array {
    let chars = TOKEN_CHARS * tokensMax;
    while (chars < text.length) {
      const { length } = this.encode(text.slice(0, chars), options);
      if (length > tokensMax + CUT_TOKENS) throw new PromptTooLongError(length - CUT_TOKENS);
      const charsNeeded = (tokensMax + 2 * CUT_TOKENS) * chars / Math.max(length, 1);
      chars = Math.ceil(Math.max(charsNeeded, 1.25 * chars));
    }
    return this.encode(text, options);
  }

  /** Token ids of a prompt that is plain text, with the BOS token where the model wants one.
   * @throws {PromptTooLongError} */
  encodePrompt(text: string, tokensMax?: number): Uint32Array {
    return this.withBos(this.encodeBounded(text, { parseSpecial: false }, tokensMax));
  }

  /** Puts the BOS token first where the model wants it and no template did. */
  withBos(ids: Uint32Array): Uint32Array {
    if (!this.addBos || this.bosId === undefined || ids[0] === this.bosId) return ids;
    const prompt = new Uint32Array(ids.length + 1);
    prompt[0] = this.bosId;
    prompt.set(ids, 1);
    return prompt;
  }

  /** Text of `ids`; bytes that are not UTF-8 become U+FFFD, ids outside the vocabulary nothing. */
  decode(ids: Uint32Array, options: DecodeOptions): string {
    return this.#tokenizer.decode(ids, options.skipSpecial);
  }

  detokenizer(options: DecodeOptions): TextStream {
    const stream: Detokenizer = this.#tokenizer.detokenizer(options.skipSpecial);
    return stream;
  }

  /** What `id` stands for, which may be part of a character; `undefined` for an id outside the
   * vocabulary. */
  tokenBytes(id: number): Uint8Array | undefined {
    // Checked here, for wasm would wrap it to 32 bits.
    const isToken = Number.isInteger(id) && id >= 0 && id < this.vocabSize;
    return isToken ? this.#tokenizer.tokenBytes(id) : undefined;
  }

  #text(id: number | undefined): string {
    return id === undefined ? "" : this.#decoder.decode(this.tokenBytes(id));
  }
}

function endIds(eosId: number | undefined, ids: ReadonlyMap<string, number>): readonly number[] {
  const ends = new Set(eosId === undefined ? [] : [eosId]);
  for (const text of END_TEXTS) {
    const id = ids.get(text);
    if (id !== undefined) ends.add(id);
  }
  return [...ends];
}

function newTokenizer(json: Uint8Array): Tokenizer {
  try {
    return new Tokenizer(json);
  } catch (error) {
    // Anything else is a trap, and so a fault of ours.
    assert(error instanceof Error && !(error instanceof WebAssembly.RuntimeError), String(error));
    throw new TokenizerError(error.message, { cause: error });
  }
}
