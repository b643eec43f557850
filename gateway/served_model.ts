/** A model as the gateway knows it: its card, and the text work done for it. Pure. @module */
import type { ModelCard } from "../proto/frame_types.ts";
import type { ChatMessage } from "./request_messages.ts";
import type { FunctionTool } from "./request_tools.ts";

/** Text for tokens as they come, never splitting a character. */
export interface TokenText {
  push(tokens: Uint32Array): string;
  flush(): string;
  /** Its memory is wasm's, which no garbage collector sees. */
  free(): void;
}

/** A prompt has more tokens than were asked for at most; how many was not counted. */
export class PromptTooLongError extends Error {
  override readonly name = "PromptTooLongError";

  constructor(readonly countLeast: number) {
    super(`Cannot take prompt: it has at least ${countLeast} tokens`);
  }
}

export interface EncodeTextOptions {
  /** Past it, it need not be counted how many tokens there are. */
  tokensMax?: number;
  /** Puts the BOS token first where the model wants one. Default: true. */
  addBos?: boolean;
}

export interface RenderOptions {
  /** Ends the prompt with the start of the assistant's answer. Default: true. */
  addGenerationPrompt?: boolean;
  /** What the model may call. */
  tools?: readonly FunctionTool[];
  /** Past it, it need not be counted how many tokens the prompt has. */
  tokensMax?: number;
}

export interface ServedModel {
  readonly card: ModelCard;
  /** Tokens of a prompt block, in which prefixes are hashed and cached. */
  readonly pageTokens: number;
  /** Tokens that end an answer. */
  readonly stopTokens: readonly number[];
  /** @throws {ApiError} 400 if the template refuses the messages.
   * @throws {PromptTooLongError} */
  renderAndEncode(messages: readonly ChatMessage[], options?: RenderOptions): Uint32Array;
  /** @throws {PromptTooLongError} */
  encodeText(text: string, options?: EncodeTextOptions): Uint32Array;
  tokenText(): TokenText;
  /** `undefined` for an id outside the vocabulary. */
  tokenBytes(token: number): Uint8Array | undefined;
  hashBlocks(tokens: Uint32Array, salt: string): BigUint64Array;
}

/** Makes a model of what a node sent: its card and its tokenizer's JSON.
 * @throws {Error} If the JSON is not a tokenizer that we can run. */
export type LoadModel = (
  card: ModelCard,
  pageTokens: number,
  tokenizerJson: Uint8Array,
) => ServedModel | Promise<ServedModel>;
